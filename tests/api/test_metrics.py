"""Figures of rows: counted once, there from the start, never falling."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from api.metrics import LABEL_OUTCOMES, Metrics
from api.row_metrics import AllVersions
from api.settings import Settings
from shared.clock import MICROS_PER_DAY
from shared.keys.tokens import Role
from tests.api.bundles import Signer
from tests.api.server import Running

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples_of(metrics: Metrics) -> Samples:
    found: Samples = {}
    for family in metrics.registry.collect():
        for one in family.samples:
            found[one.name, frozenset(one.labels.items())] = one.value
    return found


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return samples_of(metrics)[name, frozenset(labels.items())]


def row(version: str, decision: str = "approve", score: float = 0.1, **body: Any) -> Any:
    return (version, decision, 0.001, score, body)


def test_every_counter_is_zero_before_anything_happened(serving: Running) -> None:
    found = samples_of(serving.service.metrics)
    for route in ("/score", "/score/batch", "/decide"):
        for status in ("200", "500", "503"):
            assert found["understudy_requests_total", frozenset(
                {("route", route), ("status", status)})] == 0  # fmt: skip
    for outcome in LABEL_OUTCOMES:
        assert found["understudy_labels_total", frozenset({("outcome", outcome)})] == 0
    for decision in ("approve", "review"):
        assert found["understudy_decisions_total", frozenset(
            {("version", "1.0.0"), ("decision", decision)})] == 0  # fmt: skip
    live = frozenset({("version", "1.0.0")})
    for name in ("understudy_outliers_total", "understudy_reviews_total", "understudy_score_count"):
        assert found[name, live] == 0
    for reason in ("bad-signature", "version-conflict", "model-unusable"):
        assert found["understudy_push_refusals_total", frozenset({("reason", reason)})] == 0


def test_rows_count_by_version_decision_score_and_outliers() -> None:
    metrics = Metrics()
    metrics.versions.activated("1.0.0", 1)
    metrics.versions.answered([
        row("1.0.0", "approve", 0.03), row("1.0.0", "review", 0.6, is_outlier=True),
        row("1.0.1", "block", 0.95, is_outlier=False), row("1.0.0", "review", 0.7, is_outlier=None),
    ])  # fmt: skip
    assert value(metrics, "understudy_decisions_total", version="1.0.0", decision="review") == 2
    assert value(metrics, "understudy_decisions_total", version="1.0.1", decision="block") == 1
    assert value(metrics, "understudy_reviews_total", version="1.0.0") == 2
    assert value(metrics, "understudy_outliers_total", version="1.0.0") == 1
    assert value(metrics, "understudy_score_bucket", version="1.0.0", le="0.05") == 1
    assert value(metrics, "understudy_score_bucket", version="1.0.0", le="+Inf") == 3
    assert abs(value(metrics, "understudy_score_sum", version="1.0.0") - 1.33) < 1e-9


def test_a_recommender_of_a_thousand_items_has_fifty_one_series() -> None:
    versions = AllVersions()
    versions.answered([row("1.0.0", f"item-{number}") for number in range(1_000)])
    made = next(family for family in versions.collect() if family.name == "understudy_decisions")
    counted = {one.labels["decision"]: one.value for one in made.samples}
    assert len(counted) == 51
    assert sum(counted.values()) == 1_000
    assert counted["other"] == 950


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["approve", "block"]))))
def test_counts_of_a_version_never_fall_whatever_is_activated_in_between(
    steps: list[tuple[int, str]],
) -> None:
    versions, before = AllVersions(), Counter[str]()
    for at, (number, decision) in enumerate(steps):
        versions.activated(f"1.0.{number % 30}", at * 1_000_000)
        versions.answered([row(f"1.0.{(number * 7) % 30}", decision)])
        now: Counter[str] = Counter()
        for family in versions.collect():
            if family.name == "understudy_decisions":
                for one in family.samples:
                    now[one.labels["version"]] += int(one.value)
        assert all(now[version] >= count for version, count in before.items())
        assert sum(now.values()) == at + 1
        before = now


def test_buckets_have_the_limits_of_the_alerts(serving: Running) -> None:
    text = serving.client.get("/metrics").text
    for limit in ("0.5", "2.0"):
        assert f'understudy_request_seconds_bucket{{le="{limit}",route="/score"}}' in text


def test_a_change_of_the_live_version_counts_once(
    serving: Running, signer: Signer, settings: Settings
) -> None:
    metrics = serving.service.metrics
    assert serving.push(signer.bundle("1.0.1"), signer).status_code == 200
    assert value(metrics, "understudy_swaps_total") == 1
    assert serving.rollback().status_code == 200
    assert value(metrics, "understudy_swaps_total") == 2
    assert value(metrics, "understudy_rollbacks_total") == 1


def test_labels_count_by_outcome_and_first_ones_with_their_delay(serving: Running) -> None:
    metrics = serving.service.metrics
    serving.score(amount=3.0, transaction_id="t1")
    serving.score(amount=3.0, transaction_id="t2")
    serving.drained()

    def tell(name: str, label: int) -> None:
        said = {"labels": [{"transaction_id": name, "label": label}]}
        told = serving.client.post("/feedback", json=said, headers=serving.bearer(Role.FEEDBACK))
        assert told.status_code == 200

    tell("t1", 1)
    tell("t1", 1)
    tell("t1", 0)
    tell("nobody", 1)
    assert value(metrics, "understudy_labels_total", outcome="stored") == 2
    assert value(metrics, "understudy_labels_total", outcome="replaced") == 1
    assert value(metrics, "understudy_labels_total", outcome="unknown") == 1
    assert value(metrics, "understudy_label_delay_seconds_count") == 1
    assert value(metrics, "understudy_label_delay_seconds_sum") < MICROS_PER_DAY


def test_the_build_and_the_disks_are_told(serving: Running) -> None:
    text = serving.client.get("/metrics").text
    assert 'understudy_build_info{python="3.11' in text
    for folder in ("journal", "models", "database"):
        assert f'understudy_disk_free_bytes{{folder="{folder}"}}' in text
