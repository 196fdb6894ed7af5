"""Reasons of rows that another worker owns: told by their owner, the same for every caller."""

from pathlib import Path

import usecases
from api.wiring import build_service
from api.workers.worker_context import WorkerContext
from shared.clock import SystemClock
from tests.api.server import Running
from tests.support.api_registries import NoSmoke
from tests.support.api_workers import user_of
from tests.support.served_declared import BODY, churn_settings


def test_both_workers_tell_the_same_reasons_of_a_row_whoever_owns_it(tmp_path: Path) -> None:
    settings = churn_settings(tmp_path).model_copy(update={"api_workers": 2})
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
        for owner in range(2):
            body = {**BODY, "row_id": f"r{owner}", "customer_id": user_of(owner)}
            told = [each.client.post("/predict?reasons=2", json=body) for each in (one, other)]
            assert [answer.status_code for answer in told] == [200, 200], told[0].text
            assert told[0].json() == told[1].json()
            assert len(told[0].json()["reasons"]) == 2
        assert [forwarded(each) for each in (one, other)] == [1, 1]


def forwarded(worker: Running) -> float:
    (metric,) = worker.service.metrics.forwarded_rows.collect()
    value: float = metric.samples[0].value
    return value
