"""Completeness of exported traces: of runs, failed rows, and sampled ones. `make bench-traces`

A collector of our own decodes what arrives. Runs are handed to a real exporter process with their
steps, fifty a second. Rows are those of a real service whose only version fails on some of them,
under load. Then the collector hangs, and the same rows are answered as before.
`--runs 200 --seconds 10` is a short form.
"""

import argparse
import http.client
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from benchmarks import journal_load
from benchmarks.report import Bar, finish
from benchmarks.services import Services
from benchmarks.serving_world import push
from scheduler.child_runner import keep_root
from scheduler.cycle.interruption import Interruption
from scheduler.cycle.steps import StepLog
from shared.tables.runs import Run, get_run, request_run
from shared.tracing.pipe import SpanPipe
from shared.tracing.recording import recording
from shared.tracing.spans import new_context
from tests.support.collector import Collector, Mood, running_collector, values
from understudy.rehearsal import models

STEPS = ("history", "data_quality", "features", "train", "package", "evaluate", "decide", "push")
RUNS_A_SECOND, FAILURES_A_SECOND = 50.0, 10.0
BATCH = "score micro-batch"
_ARRIVE_SECONDS = 20.0

BARS: dict[str, Bar] = {
    "runs_whole_share": ("==", 1.0),
    "failed_rows_whole_share": ("==", 1.0),
    "kept_rows_arrived_share": ("==", 1.0),
    "answered_otherwise_while_it_hangs": ("==", 0),
    "rows_a_second_while_it_hangs": (">=", 0.9),
}


@dataclass
class Sent:
    """Rows that were sent, and what came of them.

    Attributes:
        traces: named by the answers to rows that failed.
        otherwise: rows that were neither scored nor failed as they had to.
    """

    rows: int = 0
    otherwise: int = 0
    traces: list[str] = field(default_factory=list)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--runs", type=int, default=1_000)
    asked.add_argument("--seconds", type=float, default=60.0, help="of each load")
    options = asked.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory() as name:
        figures = {
            "runs": options.runs,
            "runs_whole_share": of_runs(Path(name), options.runs),
            **of_rows(Path(name), options.seconds),
        }
    finish("traces", figures, BARS)


def of_runs(folder: Path, runs: int) -> float:
    """The share of runs whose root and steps all arrived."""
    with running_collector() as collector:
        pipe = SpanPipe("scheduler", collector.url)
        pipe.start()
        run, roots = _a_run(folder), []
        for number in range(runs):
            began = time.perf_counter()
            context = new_context()
            roots.append(context.trace_id)
            with recording(pipe, context):
                steps = StepLog(structlog.get_logger(), Interruption())
                for step in STEPS:
                    with steps.step(step) as note:
                        note.rows = number
            keep_root(pipe, context, began, run)
            time.sleep(max(0.0, 1 / RUNS_A_SECOND - (time.perf_counter() - began)))
        _wait(lambda: len(collector.spans) >= runs * (len(STEPS) + 1))
        pipe.close()
        traces = collector.traces()
        wanted = {"run retraining", *(f"step {step}" for step in STEPS)}
        whole = sum({span.name for span in traces.get(trace, [])} == wanted for trace in roots)
    return whole / runs


def of_rows(folder: Path, seconds: float) -> dict[str, float]:
    with served(folder / "takes", "takes") as (services, collector):
        sent = load(services, seconds)
        kept = _kept(services)
        _wait(lambda: len(collector.named(BATCH)) >= sum(kept.values()))
        traces = collector.traces()
        arrived = [span for span in collector.spans if "kept" in values(span.attributes)]
        whole = [trace for trace in sent.traces if _is_whole(traces.get(trace, []))]
    with served(folder / "hangs", "hangs") as (services, _):
        hung = load(services, seconds)
    return {
        "rows": sent.rows,
        "failed_rows": len(sent.traces),
        "failed_rows_whole_share": len(whole) / max(1, len(sent.traces)),
        "kept_rows": sum(kept.values()),
        "kept_because_slow": kept["slow"],
        "kept_rows_arrived_share": len(arrived) / max(1, sum(kept.values())),
        "answered_otherwise": sent.otherwise,
        "answered_otherwise_while_it_hangs": hung.otherwise,
        "rows_a_second_while_it_hangs": round(hung.rows / sent.rows, 3),
    }


def _is_whole(spans: list[Any]) -> bool:
    """The batch and its phases; rows that failed together were scored one by one."""
    names = {span.name for span in spans}
    return BATCH in names and "wait" in names and len(names) >= 3


@contextmanager
def served(folder: Path, mood: Mood) -> Iterator[tuple[Services, Collector]]:
    """A service whose only version fails on rows of one amount."""
    folder.mkdir()
    with (
        running_collector(mood) as collector,
        Services(folder, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as services,
    ):
        services.start_api()
        push(services.url, services.folder / "keys", models.failing("1.0.0"))
        yield services, collector


def load(services: Services, seconds: float) -> Sent:
    """Rows one after the other; ten a second of them fail."""
    sent, number = Sent(), 0
    connection = http.client.HTTPConnection("127.0.0.1", services.port, timeout=60)
    end = time.monotonic() + seconds
    next_failure = time.monotonic()
    while (now := time.monotonic()) < end:
        fails = now >= next_failure
        if fails:
            next_failure += 1 / FAILURES_A_SECOND
        number += 1
        amount = models.FAILING_AMOUNT if fails else 20.0 + number % 50
        body = {"transaction_id": f"t-{number}", "user_id": f"u{number % 40}", "amount": amount}
        connection.request(
            "POST", "/predict", json.dumps(body), {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        answer = json.loads(response.read())
        sent.rows += 1
        sent.otherwise += response.status != (500 if fails else 200)
        if fails:
            sent.traces.append(answer.get("trace_id", ""))
    connection.close()
    return sent


def _kept(services: Services) -> dict[str, int]:
    prefix = "understudy_traces_kept_total"
    found = journal_load.figures_of(services, prefix)
    return {
        reason: int(found[f'{prefix}{{reason="{reason}"}}'])
        for reason in ("error", "caller", "slow", "chance")
    }


def _a_run(folder: Path) -> Run:
    with Services(folder) as services:
        run = get_run(services.engine, request_run(services.engine, "retraining", 1, "bench"))
    if run is None:
        raise RuntimeError("the run is not in the database")
    return run


def _wait(condition: Any) -> None:
    deadline = time.monotonic() + _ARRIVE_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
