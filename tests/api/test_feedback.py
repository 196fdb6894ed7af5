from typing import Any

import pytest

from api.settings import Settings
from shared.clock import SystemClock
from shared.keys.tokens import Role
from shared.tables.label_changes import Corrections, count_corrections
from tests.api.server import Running, wait_until
from tests.api.tiny import TinySource
from tests.support.api_calls import feedback, labels_of
from usecases.fraud.training.snapshot import read_snapshot


def test_a_label_is_stored_and_the_feature_source_hears_of_it(serving: Running) -> None:
    serving.score(amount=1.0, transaction_id="t")
    serving.drained()
    answer = feedback(serving, {"transaction_id": "t", "label": 1, "source": "chargeback"})
    assert answer.json() == {"stored": 1, "queued": 0, "unknown": []}
    assert labels_of(serving) == {"t": (1, "chargeback")}
    source = serving.service.scoring.source
    assert isinstance(source, TinySource)
    wait_until(lambda: source.learned_ids == ["t"])


def test_unknown_ids_are_reported_and_the_others_are_stored(serving: Running) -> None:
    serving.score(amount=1.0, transaction_id="t")
    serving.drained()
    answer = feedback(
        serving, {"transaction_id": "t", "label": 0}, {"transaction_id": "ghost", "label": 1}
    )
    assert answer.json() == {"stored": 1, "queued": 0, "unknown": ["ghost"]}


def test_a_label_waits_for_its_decision(settings: Settings) -> None:
    with Running(settings.model_copy(update={"journal_drain_seconds": 60.0})) as server:
        server.score(amount=1.0, transaction_id="t")
        answer = feedback(server, {"transaction_id": "t", "label": 1})
        assert answer.json() == {"stored": 0, "queued": 1, "unknown": []}
    with Running(settings) as server:
        assert labels_of(server) == {"t": (1, "feedback")}


@pytest.mark.parametrize(
    "label",
    [
        {"transaction_id": "t", "label": 2},
        {"transaction_id": "t", "label": "maybe"},
        {"transaction_id": "t", "label": 0.5},
        {"transaction_id": "t", "label": None},
        {"transaction_id": "t"},
        {"transaction_id": "", "label": 1},
        {"transaction_id": "t", "label": 1, "source": "no spaces please"},
        {"transaction_id": "t", "label": 1, "extra": 1},
    ],
)
def test_a_bad_label_is_refused_by_field(steady: Running, label: dict[str, Any]) -> None:
    answer = feedback(steady, label)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith("labels.0.")


@pytest.mark.parametrize("body", [{"labels": []}, {"labels": {}}, [], {}])
def test_feedback_without_labels_is_refused(steady: Running, body: Any) -> None:
    headers = steady.bearer(Role.FEEDBACK)
    assert steady.client.post("/feedback", json=body, headers=headers).status_code == 422


def test_a_correction_is_in_the_next_snapshot_and_the_past_stays_what_it_was(
    serving: Running,
) -> None:
    serving.score(amount=1.0, transaction_id="t")
    serving.drained()
    feedback(serving, {"transaction_id": "t", "label": 1, "source": "chargeback"})
    serving.drained()
    between_us = SystemClock().now_us()
    feedback(serving, {"transaction_id": "t", "label": 0, "source": "analyst"})
    serving.drained()
    engine = serving.service.database.engine
    known = [
        read_snapshot(engine, instant_us).row(0, named=True)
        for instant_us in (between_us, SystemClock().now_us())
    ]
    assert [(row["label"], row["label_source"]) for row in known] == [
        (1, "chargeback"),
        (0, "analyst"),
    ]
    found = count_corrections(engine, SystemClock().now_us())
    assert found == Corrections(to_positive=0, to_negative=1)
