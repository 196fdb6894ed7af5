"""Screen 12, What if: would another schedule or policy have been better?"""

from dataclasses import dataclass
from typing import Any

from console.screen import BadParameter, Params, Reading, Row, Screen
from shared.intervals import Interval

_MOST = 20


@dataclass(frozen=True, slots=True)
class PolicyLine:
    """One policy of a replay: how often it promoted, and its mean metric."""

    name: str
    promotions: int | None
    value: float | None


@dataclass(frozen=True, slots=True)
class ReplayLine:
    """One finished replay."""

    name: str
    every: str
    begin: str
    end: str | None
    metric: str
    protocol: str
    rounds: int | None
    verdict: str
    policies: tuple[PolicyLine, ...]


@dataclass(frozen=True, slots=True)
class WhatIfView:
    """Finished replays side by side, and the command that starts another."""

    replays: tuple[ReplayLine, ...]
    every: str
    begin: str
    metric: str
    command: str | None


def read(reading: Reading, params: Params) -> WhatIfView:
    """Summaries below REPLAY_DIR; a replay is started on the command line."""
    every, begin = params.text("every", longest=64), params.text("begin", longest=32)
    metric = params.text("metric", "average_precision", longest=64)
    nothing: list[dict[str, Any]] = []
    found = reading.files("replays", lambda files: files.replays(_MOST), nothing)
    return WhatIfView(
        tuple(map(_replay, found)), every, begin, metric, _started(every, begin, metric)
    )


def _started(every: str, begin: str, metric: str) -> str | None:
    """The command of what was filled in; each part is checked, so that nothing else is in it."""
    if not every and not begin:
        return None
    try:
        interval = Interval.parse(every or "1W").text
    except ValueError as error:
        raise BadParameter(f"every: {error}") from error
    if not begin or not set(begin) <= set("0123456789-:TZ+"):
        raise BadParameter("begin: write a day such as 2026-01-01")
    if not metric.replace("_", "").replace("@", "").isalnum():
        raise BadParameter("metric: write its name, such as average_precision")
    return f'understudy replay --from {begin} --every "{interval}" --metric {metric}'


def _replay(found: dict[str, Any]) -> ReplayLine:
    metric = str(found.get("metric", ""))
    policies = found.get("policies")
    lines = policies.items() if isinstance(policies, dict) else ()
    return ReplayLine(
        name=str(found.get("name", "")),
        every=str(found.get("every", "")),
        begin=str(found.get("from", "")),
        end=None if found.get("to") is None else str(found["to"]),
        metric=metric,
        protocol=str(found.get("protocol", "")),
        rounds=found.get("rounds"),
        verdict=str(found.get("verdict", "")),
        policies=tuple(
            PolicyLine(str(name), one.get("promotions"), one.get(metric))
            for name, one in lines
            if isinstance(one, dict)
        ),
    )


def rows(view: WhatIfView) -> list[Row]:
    """One line a policy of a replay."""
    return [
        {"replay": one.name, "every": one.every, "from": one.begin, "to": one.end,
         "protocol": one.protocol, "rounds": one.rounds, "metric": one.metric,
         "policy": policy.name, "promotions": policy.promotions, "value": policy.value}
        for one in view.replays
        for policy in one.policies
    ]  # fmt: skip


SCREEN = Screen(
    number=12,
    path="/what-if",
    name="What if",
    question="Would another schedule or policy have been better?",
    template="what_if.html",
    read=read,
    rows=rows,
    command=lambda _params: "understudy replay --from DAY --every INTERVAL",
    refresh_seconds=0,
)
