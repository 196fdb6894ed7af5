"""How all workers stand: each tells the others, and whoever made a change waits for them."""

import time
from dataclasses import dataclass

import structlog

from api.models.promoter import Promoter
from api.workers.run_dir import STATE, RunDir, Told
from shared.errors import UnderstudyError

_log = structlog.get_logger()

TELL_SECONDS = 1.0
# Every worker serves a change within two seconds, or is told of as one that does not.
SETTLE_SECONDS = 2.0
_POLL_SECONDS = 0.01
_NOT_RUNNING, _TOO_SLOW = "it is not running", f"it did not follow within {SETTLE_SECONDS:g} s"

_MAY_COME = (_NOT_RUNNING, _TOO_SLOW)


@dataclass(frozen=True, slots=True)
class Left:
    """A worker that does not serve what it should."""

    worker: int
    reason: str


@dataclass(frozen=True, slots=True)
class Workers:
    """Who serves a version and who does not."""

    serving: int
    total: int
    failed: tuple[Left, ...] = ()

    @property
    def partial(self) -> bool:
        return self.serving < self.total


class Workforce:
    """This worker's word to the others, and theirs."""

    def __init__(self, run_dir: RunDir, promoter: Promoter) -> None:
        self._run_dir = run_dir
        self._promoter = promoter

    def follow(self) -> None:
        """The registry's files have changed: take over what they say, and tell."""
        self._promoter.catch_up()
        self.tell()

    def tell(self) -> None:
        """Say how this worker stands."""
        behind = self._promoter.behind
        failed = {} if behind is None else {"version": behind.version, "reason": behind.reason}
        self._run_dir.tell(STATE, {"version": self._promoter.serving, "behind": failed})

    def roll_back(self, version: str, reason: str) -> None:
        """Leave a version that does not work, unless another worker was faster."""
        try:
            self._promoter.rollback(None, reason, "breaker", leaving=version, what="breaker")
        except (UnderstudyError, OSError) as error:
            _log.warning("breaker_did_not_step_back", version=version, reason=str(error))
        self.tell()

    def leave(self) -> None:
        """This worker ends."""
        self._run_dir.withdraw(STATE)

    def settled(self, version: str, wait_seconds: float = SETTLE_SECONDS) -> Workers:
        """Who serves this version, as soon as everybody does or has said that it cannot."""
        self.tell()
        deadline = time.monotonic() + wait_seconds
        while True:
            found = self._now(version)
            may_come = any(left.reason in _MAY_COME for left in found.failed)
            if not may_come or time.monotonic() >= deadline:
                return found
            time.sleep(_POLL_SECONDS)

    def standing(self) -> Workers:
        """Who serves what this worker serves."""
        return self._now(self._promoter.serving)

    def _now(self, version: str) -> Workers:
        told = self._run_dir.told(STATE)
        # What this worker served may have been changed again by another one.
        told[self._run_dir.number] = {"version": version, "behind": {}}
        total = self._run_dir.total
        failed = tuple(
            Left(number, reason)
            for number in range(total)
            if (reason := _reason(told.get(number), version)) is not None
        )
        return Workers(total - len(failed), total, failed)


def _reason(told: Told | None, version: str) -> str | None:
    """Why a worker does not serve this version; None: it does."""
    if told is None:
        return _NOT_RUNNING
    if told["version"] == version:
        return None
    behind = told["behind"]
    if behind.get("version") == version:
        return str(behind["reason"])
    return _TOO_SLOW
