"""Shared by all gates: an exception becomes an ERROR verdict, and figures are made valid JSON."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from scheduler.cycle.interruption import Interrupted
from shared.verdicts import Outcome, Verdict

DATA_QUALITY = "data_quality"
FEATURE_QUALITY = "feature_quality"


Number = float | int | str | bool | None
Judge = Callable[[], Verdict]


def judged(gate: str, judge: Judge) -> Verdict:
    """The judge's verdict; ERROR with the reason when judging itself failed."""
    try:
        verdict = judge()
    except Interrupted:
        raise
    except Exception as error:  # noqa: BLE001 - a gate that breaks must never end the cycle
        reason = f"could not be measured: {type(error).__name__}: {error}"
        return Verdict(gate, Outcome.ERROR, reason)
    return replace(verdict, gate=gate, numbers=finite(verdict.numbers))


def finite(numbers: Mapping[str, Number]) -> dict[str, Number]:
    """The same figures with None for NaN and infinities, which JSON does not have."""
    return {name: _finite(value) for name, value in numbers.items()}


def _finite(value: Number) -> Number:
    return None if isinstance(value, float) and not math.isfinite(value) else value
