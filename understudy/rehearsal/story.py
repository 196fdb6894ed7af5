"""The course of a rehearsal, reported line by line."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from shared.keys.tokens import Role
from understudy.rehearsal import models
from understudy.rehearsal.monitoring import Monitoring
from understudy.rehearsal.service import RehearsalFailed, RehearsalService, RehearsalTraffic

GOOD, BAD, UNKNOWN = "1.0.0", "1.0.1", "0.9.9"
# Rows a second, and the time limit of a rollback, at full length (scale 1).
_PER_SECOND, _LIMIT_SECONDS = 5.0, 600.0
# Matrix products for each row: about 20 ms on one core.
_PRODUCTS = 1
_SLOW_SECONDS = 0.012
# Without alerts the circuit breaker rolls back: such a row exceeds this budget.
_BUDGET = {"SCORING_BUDGET_SECONDS": "0.01"}
_NO_BREAKER = {"BREAKER_FAILURES": "0"}
_SERVED_WELL = {"SERVED_WELL_SECONDS": "5", "SERVED_WELL_ROWS": "30"}
Tell = Callable[[str], None]


class Fault(StrEnum):
    """The fault of the version that goes live."""

    SLOW_MODEL = "slow-model"
    FAILING_MODEL = "failing-model"


@dataclass(slots=True)
class RehearsalReport:
    """The result of a rehearsal.

    Attributes:
        seconds: from the first slow or failing row to the rollback.
        by: who rolled back and why.
        told: what people were told of it before it resolved; None without Alertmanager.
        repeated, old_version: what /alert answered to the same order again, and to one about a
            version that does not serve; None without Alertmanager.
        told_of_old: what people were told of that order, which changed nothing.
    """

    seconds: float
    by: str
    answered: int
    failed: int
    told: str | None = None
    repeated: dict[str, Any] | None = None
    old_version: dict[str, Any] | None = None
    told_of_old: str | None = None


@dataclass(slots=True)
class Stage:
    """The parts of one rehearsal; `monitoring` is None where Prometheus is not installed."""

    service: RehearsalService
    traffic: RehearsalTraffic
    monitoring: Monitoring | None
    scale: float
    tell: Tell


def rehearse(fault: Fault, scale: float, tell: Tell, *, with_alerts: bool) -> RehearsalReport:
    """Take one fault through a service of its own.

    `scale` shortens every duration of the shipped monitoring, and traffic grows in proportion,
    because alerts count rows.

    Raises:
        RehearsalFailed: something did not happen in time; the log's end says more.
    """
    folder = tempfile.TemporaryDirectory(prefix="understudy-", ignore_cleanup_errors=True)
    settings = dict(_SERVED_WELL)
    if fault is Fault.SLOW_MODEL:
        settings |= _NO_BREAKER if with_alerts else _BUDGET
    with folder as name, _timed(tell) as say:
        say(f"a service of its own starts in {name}; the first start compiles for up to a minute")
        with RehearsalService(Path(name), **settings) as service:
            service.push(models.good(GOOD))
            say(f"it serves version {GOOD}, a good one, on {service.url}")
            with (
                _watched(service, scale, say, with_alerts=with_alerts) as monitoring,
                RehearsalTraffic(service.port, _PER_SECOND / scale, _SLOW_SECONDS) as traffic,
            ):
                stage = Stage(service, traffic, monitoring, scale, say)
                return _play(stage, fault)


def _play(stage: Stage, fault: Fault) -> RehearsalReport:
    service, traffic, say = stage.service, stage.traffic, stage.tell
    say(f"users send {_PER_SECOND / stage.scale:.0f} rows a second")
    service.wait_for(service.served_well, 120, "the good version did not serve well")
    say(f"{GOOD} has served well: it is the version that a rollback goes to")
    say(f"its slowest answer took {traffic.slowest * 1e3:.0f} ms")
    began = time.monotonic()
    service.push(_bad(fault))
    traffic.watch()
    say(f"version {BAD} is pushed: signed, and it passes the smoke test; {_FAULTS[fault]}")
    _wait_for_rollback(stage)
    seconds = time.monotonic() - (traffic.slow_since or began)
    by = service.last_rollback(BAD)
    say(f"ROLLED BACK: {service.serving()} serves, by {by}")
    what = "slow answer" if fault is Fault.SLOW_MODEL else "row"
    say(f"{seconds:.1f} s from the first {what} of {BAD} to the rollback")
    outcome = RehearsalReport(seconds, by, traffic.answered, traffic.failed)
    if stage.monitoring is not None:
        _afterwards(stage, stage.monitoring, outcome, fault)
    say(f"{traffic.answered:,} rows were answered meanwhile, {traffic.failed} were not")
    return outcome


_FAULTS = {
    Fault.SLOW_MODEL: "in service it multiplies matrices for every row",
    Fault.FAILING_MODEL: "in service it answers NaN for every third row",
}


def _bad(fault: Fault) -> bytes:
    if fault is Fault.FAILING_MODEL:
        return models.failing(BAD)
    return models.slow(BAD, _PRODUCTS)


def _wait_for_rollback(stage: Stage) -> None:
    """Tell every change of an alert on the way."""
    known: dict[str, str] = {}

    def is_rolled_back() -> bool:
        for name, state in _ours(stage.monitoring).items():
            if known.get(name) != state:
                known[name] = state
                stage.tell(f"Prometheus: {name} is {state}")
        return stage.service.serving() == GOOD

    seconds = max(_LIMIT_SECONDS * stage.scale, 60.0)
    stage.service.wait_for(is_rolled_back, seconds, f"{BAD} was not rolled back")


def _ours(monitoring: Monitoring | None) -> dict[str, str]:
    """Alerts that this is about: one that always fires, and what is not scraped here, are not."""
    found = {} if monitoring is None else monitoring.alerts()
    return {name: state for name, state in found.items() if name.startswith(("New", "Breaker"))}


def _afterwards(
    stage: Stage, monitoring: Monitoring, outcome: RehearsalReport, fault: Fault
) -> None:
    """The people notified, and the effect of the same order and of one about another version."""
    service, people, say = stage.service, monitoring.people, stage.tell
    seconds = max(120 * stage.scale, 60.0)
    service.wait_for(lambda: people.heard_of(BAD) is not None, seconds, "people were not told")
    outcome.told = people.heard_of(BAD)
    say(f"people were told: {outcome.told}")
    payload = people.order_about(BAD)
    if fault is Fault.SLOW_MODEL and payload is not None:
        outcome.repeated = service.alert(payload)
        say(f"the same notification again: {outcome.repeated['action']}: "
            f"{outcome.repeated['reason']}")  # fmt: skip
    monitoring.give_order(UNKNOWN, "an order about a version that does not serve")
    told = partial(people.heard_of, UNKNOWN)
    service.wait_for(lambda: told() is not None, seconds, "people were not told of the order")
    outcome.told_of_old = told()
    outcome.old_version = service.alert(people.order_about(UNKNOWN) or {"alerts": []})
    say(f"an order about {UNKNOWN}, which does not serve: {outcome.old_version['action']}, and "
        f"people were told: {outcome.told_of_old}")  # fmt: skip
    if service.serving() != GOOD:
        raise RehearsalFailed(f"{service.serving()} serves, where {GOOD} should")


@contextmanager
def _watched(
    service: RehearsalService, scale: float, say: Tell, *, with_alerts: bool
) -> Iterator[Monitoring | None]:
    if not with_alerts:
        yield None
        return
    token = service.token(Role.ALERT)
    with Monitoring(service.folder, service.port, token, scale) as monitoring:
        say(
            f"Prometheus ({monitoring.prometheus}) and Alertmanager ({monitoring.alertmanager}) "
            f"watch it by the shipped rules, every duration times {scale:g}"
        )
        yield monitoring


@contextmanager
def _timed(tell: Tell) -> Iterator[Tell]:
    began = time.monotonic()
    yield lambda text: tell(f"{time.monotonic() - began:6.1f} s  {text}")
