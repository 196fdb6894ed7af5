"""Screen 4, Rollout: does the trial hurt anybody, and when does it move on?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup
from sqlalchemy import Connection, func, select

from console.charts import Line, line_chart
from console.screen import Params, Reading, Row, Screen
from console.screens.common import current_model
from shared.contracts.rollouts import EndedView, RolloutView
from shared.tables.schema import rollout_looks as table

_MOST_LOOKS = 400
_SHOWN_LOOKS = 20
_MOST_TRIALS = 20
TESTS = {
    "errors": "more errors",
    "latency": "slower answers",
    "scores": "other scores",
    "alerts": "another number of alerts",
    "outcomes": "worse outcomes, by labels",
    "split": "users split otherwise than they should be",
}


@dataclass(frozen=True, slots=True)
class Test:
    """One test at one look: harm is shown where p falls below the limit."""

    name: str
    words: str
    p_value: float
    limit: float
    is_rejected: bool


@dataclass(frozen=True, slots=True)
class LookLine:
    """One look at both arms."""

    looked_at_us: int
    share_percent: int
    step: str
    reason: str
    candidate_rows: int | None
    champion_rows: int | None
    candidate_alert_rate: float | None
    champion_alert_rate: float | None
    candidate_latency_ms: float | None
    champion_latency_ms: float | None
    tests: tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class PastTrial:
    """A version that was on trial, and how often it was looked at."""

    version: str
    looks: int
    newest_us: int


@dataclass(frozen=True, slots=True)
class RolloutScreenView:
    """The trial that is on, or the one asked for, look by look; newest first."""

    rollout: RolloutView | None
    last: EndedView | None
    version: str | None
    looks: tuple[LookLine, ...]
    total_looks: int
    trials: tuple[PastTrial, ...]
    alert_chart: Markup | None = field(metadata={"shown": False})
    latency_chart: Markup | None = field(metadata={"shown": False})


def read(reading: Reading, params: Params) -> RolloutScreenView:
    """The figures of the moment are the API's; the series is what the scheduler kept."""
    current = current_model(reading)
    on = None if current is None else current.rollout
    trials = reading.rows("trials", _trials)
    asked = params.text("version", longest=32)
    version = asked or (on.version if on else (trials[0].version if trials else None))
    looks: list[LookLine] = []
    if version is not None:
        name = version
        looks = reading.rows(("looks", name), lambda link: _looks(link, name))
    return RolloutScreenView(
        rollout=on,
        last=None if current is None else current.last_rollout,
        version=version,
        looks=tuple(looks[:_SHOWN_LOOKS]),
        total_looks=len(looks),
        trials=tuple(trials),
        alert_chart=_chart("Alert rate of both arms", looks, "alert_rate"),
        latency_chart=_chart("Mean time of a row of both arms, in ms", looks, "latency_ms"),
    )


def _trials(connection: Connection) -> list[PastTrial]:
    newest = func.max(table.c.lookedat)
    query = (
        select(table.c.version, func.count(), newest)
        .group_by(table.c.version)
        .order_by(newest.desc())
        .limit(_MOST_TRIALS)
    )
    return [PastTrial(*row) for row in connection.execute(query)]


def _looks(connection: Connection, version: str) -> list[LookLine]:
    query = (
        select(
            table.c.lookedat,
            table.c.sharepercent,
            table.c.step,
            table.c.reason,
            table.c.arms,
            table.c.tests,
        )
        .where(table.c.version == version)
        .order_by(table.c.lookedat.desc())
        .limit(_MOST_LOOKS)
    )
    return [_look(row) for row in connection.execute(query)]


def _look(row: Any) -> LookLine:
    arms = row.arms if isinstance(row.arms, dict) else {}
    candidate, champion = arms.get("candidate") or {}, arms.get("champion") or {}
    tests = row.tests if isinstance(row.tests, list) else []
    return LookLine(
        looked_at_us=row.lookedat,
        share_percent=row.sharepercent,
        step=row.step,
        reason=row.reason,
        candidate_rows=candidate.get("requests"),
        champion_rows=champion.get("requests"),
        candidate_alert_rate=_mean(candidate, "alert_rate"),
        champion_alert_rate=_mean(champion, "alert_rate"),
        candidate_latency_ms=_mean(candidate, "latency_ms"),
        champion_latency_ms=_mean(champion, "latency_ms"),
        tests=tuple(_test(one) for one in tests if isinstance(one, dict)),
    )


def _mean(arm: Mapping[str, Any], name: str) -> float | None:
    found = arm.get(name)
    return found.get("mean") if isinstance(found, dict) else None


def _test(one: Mapping[str, Any]) -> Test:
    name = str(one.get("name", ""))
    return Test(
        name,
        TESTS.get(name, name),
        float(one.get("p_value") or 0.0),
        float(one.get("limit") or 0.0),
        bool(one.get("is_rejected")),
    )


def _chart(title: str, looks: Sequence[LookLine], name: str) -> Markup | None:
    """Oldest to newest; None where nothing was measured."""
    ordered = looks[::-1]
    lines = [
        Line(arm, [getattr(one, f"{arm}_{name}") for one in ordered])
        for arm in ("champion", "candidate")
    ]
    if not any(value is not None for line in lines for value in line.values):
        return None
    return line_chart(title, lines, lowest=None)


def rows(view: RolloutScreenView) -> list[Row]:
    """One line a look, with the p-value and the limit of each test."""
    return [
        {
            "looked_at_us": one.looked_at_us,
            "share_percent": one.share_percent,
            "step": one.step,
            "reason": one.reason,
            "candidate_rows": one.candidate_rows,
            "champion_rows": one.champion_rows,
            **{f"p_{test.name}": test.p_value for test in one.tests},
            **{f"limit_{test.name}": test.limit for test in one.tests},
        }
        for one in view.looks
    ]


SCREEN = Screen(
    number=4,
    path="/rollout",
    name="Rollout",
    question="Does the version on trial hurt anybody, and when does it move on?",
    template="rollout.html",
    read=read,
    rows=rows,
    command=lambda _params: "understudy rollout show",
)
