"""Reasons of rows that another worker owns: told by their owner, the same for every caller."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import usecases
from api.wiring import build_service
from api.workers.worker_context import WorkerContext
from shared.clock import SystemClock
from tests.api.server import Running
from tests.support.api_registries import NoSmoke
from tests.support.api_workers import user_of
from tests.support.served_declared import BODY, churn_settings


@contextmanager
def both(folder: Path) -> Iterator[tuple[Running, Running]]:
    """Two workers that serve the same trained model."""
    settings = churn_settings(folder).model_copy(update={"api_workers": 2})
    workers = []
    for number in range(2):
        service = build_service(
            settings,
            usecases.load_serving("churn"),
            SystemClock(),
            smoke=NoSmoke(),
            context=WorkerContext(number, starts=1),
        )
        workers.append(Running(settings, service=service))
    with workers[0] as one, workers[1] as other:
        yield one, other


def test_both_workers_tell_the_same_reasons_of_a_row_whoever_owns_it(tmp_path: Path) -> None:
    with both(tmp_path) as (one, other):
        for owner in range(2):
            body = {**BODY, "row_id": f"r{owner}", "customer_id": user_of(owner)}
            told = [each.client.post("/predict?reasons=2", json=body) for each in (one, other)]
            assert [answer.status_code for answer in told] == [200, 200], told[0].text
            assert told[0].json() == told[1].json()
            assert len(told[0].json()["reasons"]) == 2
        assert [forwarded(each) for each in (one, other)] == [1, 1]


def test_a_batch_of_rows_of_both_workers_has_the_reasons_of_each_row(tmp_path: Path) -> None:
    with both(tmp_path) as (one, other):
        rows = [
            {**BODY, "row_id": f"b{at}", "customer_id": user_of(at % 2), "support_calls": at}
            for at in range(6)
        ]
        told = [
            each.client.post("/predict/batch?reasons=2", json={"instances": rows}).json()
            for each in (one, other)
        ]
        alone = [one.client.post("/predict?reasons=2", json=row).json() for row in rows]
        assert told[0]["predictions"] == told[1]["predictions"] == alone
        many = [{**row, "row_id": f"{at}"} for at, row in enumerate(rows * 20)]
        refused = one.client.post("/predict/batch?reasons=2", json={"instances": many})
        assert refused.status_code == 422
        assert "at most 100 rows" in refused.json()["detail"]


def forwarded(worker: Running) -> float:
    (metric,) = worker.service.metrics.forwarded_rows.collect()
    value: float = metric.samples[0].value
    return value
