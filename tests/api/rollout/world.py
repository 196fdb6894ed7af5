"""A real API whose users come as a test wants them, and the scheduler's driver beside it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import Any

import structlog

from scheduler.cycle.candidates import ROLLOUT
from scheduler.rollout.driver import DatabaseLease, RolloutDriver, RolloutRecord
from scheduler.rollout.stage import RolloutPolicy
from scheduler.scoring_api import HttpScoringApi
from shared.clock import SystemClock
from shared.keys.tokens import Role, read_token
from shared.tables.engine import connect

REQUESTS_A_STAGE = 20
POLICY = RolloutPolicy(stage_minimum_seconds=0.0, stage_minimum_requests=REQUESTS_A_STAGE)


@contextmanager
def driving(folder: Path, url: str, lease_seconds: float = 0.1) -> Iterator[RolloutDriver]:
    """The driver as the scheduler wires it, with stages of no time and little traffic."""
    api = HttpScoringApi(url, read_token(folder / "keys", Role.PUSH), 10.0, 10.0)
    record = RolloutRecord(folder / "retrained_models")
    engine = connect(f"sqlite:///{folder / 'understudy.db'}")
    lease = DatabaseLease(engine, f"driver-{token_hex(4)}", lease_seconds)
    yield RolloutDriver(
        api=api,
        policy=POLICY,
        record=record,
        lease=lease,
        clock=SystemClock(),
        log=structlog.get_logger(),
    )
    api.close()
    engine.dispose()


def recorded(folder: Path, version: str) -> list[dict[str, Any]]:
    """What the driver wrote down, without the instants."""
    text = (folder / "retrained_models" / version / ROLLOUT).read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        del line["at"]
    return lines


@dataclass
class Crowd:
    """Endless users, in batches."""

    numbers: Any = field(default_factory=count)

    def rows(self, size: int, amount: float = 1.0) -> list[dict[str, Any]]:
        return [{"amount": amount, "user_id": f"c{next(self.numbers)}"} for _ in range(size)]
