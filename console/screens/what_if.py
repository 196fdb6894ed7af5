"""Screen 12, What if: would another schedule or policy have been better?"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from console.api_client import Api, Operator
from console.deeds import Deed, Filled, FormField, FormRefused
from console.render import micros_of
from console.screen import BadParameter, Params, Reading, Row, Screen
from console.screens.common import newest_requests
from shared.clock import MICROS_PER_DAY, MICROS_PER_SECOND, isoformat
from shared.contracts.runs import (
    MAX_ROUNDS,
    REPLAY,
    ReplayArguments,
    ReplayRequest,
    RunRequested,
    instant_us,
)
from shared.intervals import Interval, next_due
from shared.tables.runs import UNFINISHED

_MOST = 20
_RUNS_SHOWN = 5
_USUAL_DAYS = 56
_ROUND = "round"
_DAY = re.compile(r"[0-9T:Z+.-]{8,40}", re.ASCII)


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
class ReplayRun:
    """A replay that was started here, as far as it has come.

    Attributes:
        done: rounds that are finished; `total` is known once the history was read.
        doing: what it does now; empty once it is over.
        ends_at: when it is expected to be over, by the rounds so far.
        report: address of its report.
    """

    run_id: int
    status: str
    is_unfinished: bool
    begin: str
    every: str
    requested_by: str | None
    started_at: str | None
    done: int
    total: int | None
    doing: str
    ends_at: str | None
    message: str
    report: str | None


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """The replay that would be played: `rounds` until now, and the command that does the same."""

    begin: str
    every: str
    metric: str
    rounds: int
    last: str | None
    command: str
    problem: str | None


@dataclass(frozen=True, slots=True)
class WhatIfView:
    """Replays in progress and finished ones side by side, and the plan of another."""

    runs: tuple[ReplayRun, ...]
    replays: tuple[ReplayLine, ...]
    every: str
    begin: str
    metric: str
    plan: ReplayPlan | None


def read(reading: Reading, params: Params) -> WhatIfView:
    """Runs of the database, and summaries below REPLAY_DIR."""
    every, begin = params.text("every", longest=64), params.text("begin", longest=40)
    metric = params.text("metric", longest=64)
    nothing: list[dict[str, Any]] = []
    found = reading.files("replays", lambda files: files.replays(_MOST), nothing)
    listed = newest_requests(reading, REPLAY, _RUNS_SHOWN)
    usual = isoformat(reading.now_us - _USUAL_DAYS * MICROS_PER_DAY)[:10]
    return WhatIfView(
        runs=tuple(_run(row, reading.now_us) for row in listed),
        replays=tuple(map(_replay, found)),
        every=every,
        begin=begin or usual,
        metric=metric,
        plan=_plan(every, begin, metric, reading.now_us),
    )


def _plan(every: str, begin: str, metric: str, now_us: int) -> ReplayPlan | None:
    """The rounds of what was filled in; each part is checked, so that nothing else is in it."""
    if not every and not begin:
        return None
    if begin and _DAY.fullmatch(begin) is None:
        raise BadParameter("begin: write a day such as 2026-01-01")
    wanted = _arguments(BadParameter, begin=begin, every=every or "1W", metric=metric or None)
    rounds, last_us = _rounds(wanted, now_us)
    problem = None
    if not rounds:
        problem = "No round is due between that day and now: choose an earlier first day."
    elif rounds > MAX_ROUNDS:
        problem = f"These are more than {MAX_ROUNDS} rounds: choose a longer interval."
    compared = f" --metric {wanted.metric}" if wanted.metric else ""
    return ReplayPlan(
        begin=wanted.begin,
        every=wanted.every,
        metric=wanted.metric or "",
        rounds=rounds,
        last=None if last_us is None else isoformat(last_us),
        command=f'understudy replay --from {wanted.begin} --every "{wanted.every}"{compared}',
        problem=problem,
    )


def _arguments(refusal: type[Exception], **fields: Any) -> ReplayArguments:
    try:
        return ReplayArguments.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise refusal(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _rounds(wanted: ReplayArguments, now_us: int) -> tuple[int, int | None]:
    """The number of rounds due until now, at most one more than are played, and the last one."""
    interval, begin_us = Interval.parse(wanted.every), instant_us(wanted.begin)
    rounds, last_us, due = 0, None, next_due(interval, begin_us, begin_us - 1)
    while due <= now_us and rounds <= MAX_ROUNDS:
        rounds, last_us, due = rounds + 1, due, next_due(interval, begin_us, due)
    return rounds, last_us


def _run(row: Mapping[str, Any], now_us: int) -> ReplayRun:
    wanted = row["arguments"] if isinstance(row["arguments"], dict) else {}
    listed = row["steps"] if isinstance(row["steps"], list) else []
    steps = [one for one in listed if isinstance(one, dict)]
    is_unfinished = row["status"] in UNFINISHED
    earlier, total = _planned(steps)
    rounds = [one for one in steps if one.get("step") == _ROUND]
    played = [one for one in rounds if "duration_seconds" in one]
    done = earlier + len(played)
    metrics = row["metrics"] if isinstance(row["metrics"], dict) else {}
    name = str(metrics.get("replay", ""))
    return ReplayRun(
        run_id=row["runid"],
        status=row["status"],
        is_unfinished=is_unfinished,
        begin=str(wanted.get("begin", "")),
        every=str(wanted.get("every", "")),
        requested_by=row["requestedby"],
        started_at=row["startedat"],
        done=done,
        total=total,
        doing=_doing(steps, total) if is_unfinished else "",
        ends_at=_ends_at(played, done, total, now_us) if is_unfinished else None,
        message=str(row["statusmessage"] or ""),
        report=f"/reports/replay/{name}" if name else None,
    )


def _planned(steps: Sequence[Mapping[str, Any]]) -> tuple[int, int | None]:
    """Rounds that were finished earlier, and all there are."""
    for one in steps:
        total = one.get("rounds")
        if isinstance(total, int):
            earlier = one.get("finished_earlier")
            return (earlier if isinstance(earlier, int) else 0), total
    return 0, None


def _doing(steps: Sequence[Mapping[str, Any]], total: int | None) -> str:
    if not steps:
        return "waits for the scheduler, which starts it within seconds"
    last = steps[-1]
    if last.get("step") != _ROUND:
        return "reads the history and computes its features"
    day = str(last.get("as_of", ""))[:10]
    return f"runs round {last.get('number')} of {total}, as of {day}"


def _ends_at(
    played: Sequence[Mapping[str, Any]], done: int, total: int | None, now_us: int
) -> str | None:
    """An estimate by the mean time of the rounds so far."""
    seconds = [one["duration_seconds"] for one in played]
    known = [float(one) for one in seconds if isinstance(one, int | float)]
    begun = micros_of(str(played[-1].get("started_at") or "")) if played else None
    if not known or total is None or begun is None:
        return None
    mean = sum(known) / len(known)
    left = begun + round((known[-1] + mean * (total - done)) * MICROS_PER_SECOND)
    return isoformat(max(left, now_us))


def _start(api: Api, operator: Operator, filled: Filled) -> str:
    fields = {name: value for name, value in filled.values.items() if value}
    wanted = _arguments(FormRefused, **fields)
    body = ReplayRequest(**wanted.model_dump(), reason=filled.reason)
    answer = api.change("/api/mlops/replays", operator, body, RunRequested)
    return (
        f"The replay is run {answer.run_id}; the scheduler starts it within seconds. What if shows "
        "how far it is, and its result."
    )


START = Deed(
    name="start-replay",
    button="Start the replay",
    fields=(
        FormField("begin", "First day", longest=40),
        FormField("every", "Retrain every", longest=64),
        FormField("metric", "Compare by", is_required=False, longest=64),
    ),
    warning="The scheduler plays it beside its other work, with low priority: minutes a round. "
    "Nothing that is served or scheduled changes. One replay at a time; one that is cancelled "
    "keeps its finished rounds.",
    command="understudy replay --from DAY --every INTERVAL",
    carry_out=_start,
)
DEEDS = (START,)


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
)
