"""Looks as the API would show them, with arms that are similar unless told otherwise."""

from dataclasses import replace
from math import sqrt
from typing import Any

from scheduler.rollout.look import Arm, Look, MeanEstimate

ROWS, RATE, LATENCY_MS = 2_000, 0.1, 2.0
EDGES = 10


def share(value: float, rows: int) -> MeanEstimate:
    guarded = (value * rows + 1) / (rows + 2)
    return MeanEstimate(value, sqrt(guarded * (1 - guarded) / rows))


def arm(rows: int = ROWS, rate: float = RATE, latency_ms: float = LATENCY_MS, **other: Any) -> Arm:
    said: dict[str, Any] = {
        "users": rows // 2,
        "requests": rows,
        "errors": 0,
        "groups": 64,
        "alert_rate": share(rate, rows),
        "latency_ms": MeanEstimate(latency_ms, latency_ms / sqrt(rows)),
        "below": tuple(share(at / EDGES, rows) for at in range(EDGES)),
    }
    return Arm(**{**said, **other})


def look(candidate: Arm | None = None, champion: Arm | None = None, **other: Any) -> Look:
    """A canary at 50 %, an hour into its stage."""
    said: dict[str, Any] = {
        "mode": "canary",
        "version": "1.0.1",
        "champion": "1.0.0",
        "share_percent": 50,
        "next_share": None,
        "stage_seconds": 3_600.0,
        "candidate": candidate or arm(),
        "champion_arm": champion or arm(),
    }
    return Look(**{**said, **other})


def with_errors(base: Arm, errors: int) -> Arm:
    return replace(base, errors=errors)
