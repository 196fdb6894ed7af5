"""`understudy replay`: reads what was asked, shows the rounds as they end, writes the reports."""

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

import usecases
from scheduler.replay.asked import Asked
from scheduler.replay.csv_text import csv_text
from scheduler.replay.history import connect_read_only, newest_event_us
from scheduler.replay.page import PageData, render
from scheduler.replay.plan import ReplayImpossible, Span, plan_spans
from scheduler.replay.protocol import handbook
from scheduler.replay.record import Round
from scheduler.replay.replay import replay
from scheduler.replay.summary import describe, judged, summarize, verdict
from scheduler.settings import SchedulerSettings, load_settings
from shared.clock import SystemClock, isoformat, to_micros
from shared.intervals import Interval
from shared.system.files import write_whole_within
from shared.usecase.learning import LearningUseCase
from understudy.handbook import HANDBOOK
from understudy.replay_screen import Screen, show
from understudy.terminal import console, errors

CSV, PAGE = "replay.csv", "replay.html"
STOPPED = 130
"""What a shell says of a process that Ctrl-C ended."""


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """The options as they were typed."""

    begin: str
    end: str | None
    every: str
    metric: str
    is_handbook: bool
    work: Path
    pages: bool
    as_json: bool


def replay_history(request: ReplayRequest) -> int:
    """Replay and report; returns the exit status.

    Raises:
        ReplayImpossible: what was asked for makes no sense, or there is no history for it.
        DataUnavailable: the history cannot be read.
    """
    settings = load_settings()
    interval = _interval(request.every)
    begin_us = _instant("--from", request.begin)
    engine = connect_read_only(settings.database_url.get_secret_value())
    screen = Screen(errors)
    try:
        end_us = newest_event_us(engine) if request.end is None else _instant("--to", request.end)
        spans = plan_spans(interval, begin_us, end_us)
        asked = _asked(request, settings, engine, spans)
        with screen:
            rounds = replay(asked, screen)
    except KeyboardInterrupt:
        errors.print(screen.stopped(), style="yellow", highlight=False)
        return STOPPED
    finally:
        engine.dispose()
    _report(request, asked, rounds, screen.folder)
    return 0


def _asked(
    request: ReplayRequest, settings: SchedulerSettings, engine: Engine, spans: tuple[Span, ...]
) -> Asked:
    use_case: LearningUseCase = usecases.load_learning(settings.use_case)
    return Asked(
        use_case=handbook(use_case) if request.is_handbook else use_case,
        history=engine,
        spans=spans,
        known_us=SystemClock().now_us(),
        work=request.work,
        seed=settings.training_seed,
        latency_budget_ms=settings.latency_budget_ms,
        pages=request.pages,
        settings=(request.is_handbook,),
    )


def _report(request: ReplayRequest, asked: Asked, rounds: list[Round], folder: Path) -> None:
    settings = {
        "metric": request.metric,
        "seed": str(asked.seed),
        "latency budget": f"{asked.latency_budget_ms:g} ms",
        "protocol": "handbook" if request.is_handbook else "the policy's own split",
        "labels known by": isoformat(asked.known_us),
    }
    page = PageData(
        use_case=asked.use_case.name,
        every=request.every,
        rounds=rounds,
        metric=request.metric,
        settings=settings,
        published=HANDBOOK if request.is_handbook else None,
    )
    write_whole_within(folder / CSV, csv_text(rounds).encode())
    write_whole_within(folder / PAGE, render(page).encode())
    if request.as_json:
        sys.stdout.write(json.dumps(_summary(request, rounds, folder)) + "\n")
    else:
        show(console, page)
        console.print(f"{folder / PAGE}\n{folder / CSV}", highlight=False, soft_wrap=True)


def _summary(request: ReplayRequest, rounds: list[Round], folder: Path) -> dict[str, Any]:
    return {
        "rounds": len(rounds),
        "promoted": sum(record.outcome.promoted for record in rounds),
        "verdict": verdict(rounds, request.metric),
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


def _interval(text: str) -> Interval:
    try:
        return Interval.parse(text)
    except ValueError as error:
        raise ReplayImpossible(f"--every: {error}") from error


def _instant(option: str, text: str) -> int:
    """A day, or an instant; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ReplayImpossible(
            f"{option}: {text!r} is no date; write 2026-01-31 or 2026-01-31T03:00:00+01:00"
        ) from error
    return to_micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
