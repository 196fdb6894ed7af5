"""The report of a replay: a page, a table, and the summary that the console compares."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scheduler.replay.page import PageData, csv_text, render
from scheduler.replay.protocol import Published
from scheduler.replay.record import Asked, Round
from scheduler.replay.summary import describe, judged, summarize, verdict
from shared.clock import isoformat
from shared.system.files import write_whole_within
from shared.tasks import TaskKind
from shared.usecase.learning import LearningUseCase

CSV, PAGE, SUMMARY = "replay.csv", "replay.html", "summary.json"
BINARY_METRIC = "average_precision"


@dataclass(frozen=True, slots=True)
class ReplayTerms:
    """The request as it was written, and the metric that policies are compared by.

    Attributes:
        published: results of others by the protocol that rows were split with; None: the rows are
            split as in production.
    """

    begin: str
    end: str | None
    every: str
    metric: str
    published: Published | None = None


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """The report as it was written to a folder."""

    page: PageData
    summary: dict[str, Any]
    folder: Path


def usual_metric(use_case: LearningUseCase) -> str:
    """The metric that policies are compared by if none was named."""
    is_binary = use_case.task.kind is TaskKind.BINARY
    return BINARY_METRIC if is_binary else use_case.policy.primary_metric


def write_report(
    terms: ReplayTerms, asked: Asked, rounds: list[Round], folder: Path
) -> ReplayReport:
    """Write page, table and summary of the rounds into the folder of the replay."""
    settings = {
        "metric": terms.metric,
        "seed": str(asked.seed),
        "latency budget": f"{asked.latency_budget_ms:g} ms",
        "protocol": "handbook" if terms.published else "the policy's own split",
        "labels known by": isoformat(asked.known_us),
    }
    page = PageData(
        use_case=asked.use_case.name,
        every=terms.every,
        rounds=rounds,
        metric=terms.metric,
        settings=settings,
        published=terms.published,
    )
    write_whole_within(folder / CSV, csv_text(rounds).encode())
    write_whole_within(folder / PAGE, render(page).encode())
    summary = _summary(terms, rounds, folder)
    # one line: what the console compares
    write_whole_within(folder / SUMMARY, json.dumps(summary).encode() + b"\n")
    return ReplayReport(page, summary, folder)


def _summary(terms: ReplayTerms, rounds: list[Round], folder: Path) -> dict[str, Any]:
    return {
        "every": terms.every,
        "from": terms.begin,
        "to": terms.end,
        "metric": terms.metric,
        "protocol": "handbook" if terms.published else "policy",
        "rounds": len(rounds),
        "promoted": sum(record.outcome.promoted for record in rounds),
        "verdict": verdict(rounds, terms.metric),
        "policies": {
            each.policy.value: {
                "promotions": each.promotions,
                **{name: mean.value for name, mean in each.means.items()},
            }
            for each in summarize(rounds)
        },
        "held_out": {name: describe(values).value for name, values in judged(rounds).items()},
        "page": str(folder / PAGE),
        "csv": str(folder / CSV),
    }
