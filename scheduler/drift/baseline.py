"""The content of a bundle's `baseline.json`: the distributions traffic is compared with."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from scheduler.drift.column_baseline import ColumnBaselines, from_json, to_json
from scheduler.drift.estimate import Calibration, Performance

FORMAT = 1


class NoBaseline(ValueError):
    """Raised when a bundle's baseline.json is not one that can be compared with."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The distributions that later traffic is compared with.

    Attributes:
        columns: features and labels of its training rows, scores of held-out rows.
        label_delay_us: the delay within which nearly all labels of the training rows became known.
        calibration: calibration of its scores on the held-out rows.
        held_out: its metrics there.
    """

    columns: ColumnBaselines
    label_delay_us: int
    calibration: Calibration
    held_out: Performance


def encode(baseline: Baseline) -> bytes:
    """The bytes of `baseline.json`; a metric that is undefined is null."""
    held_out = {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in asdict(baseline.held_out).items()
    }
    content = {
        "format": FORMAT,
        "columns": to_json(baseline.columns),
        "label_delay_us": baseline.label_delay_us,
        "calibration": asdict(baseline.calibration),
        "held_out": held_out,
    }
    return json.dumps(content, sort_keys=True, allow_nan=False).encode()


def decode(raw: bytes) -> Baseline:
    """Decode a baseline.

    Raises:
        NoReference: the text is not a baseline, or one of another format version.
    """
    try:
        content: Mapping[str, Any] = json.loads(raw)
        if content.get("format") != FORMAT:
            raise NoBaseline("its baseline was made by another version of this program")
        return Baseline(
            columns=from_json(content["columns"]),
            label_delay_us=int(content["label_delay_us"]),
            calibration=Calibration(
                tuple(content["calibration"]["scores"]), tuple(content["calibration"]["shares"])
            ),
            held_out=_performance(content["held_out"]),
        )
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise NoBaseline(f"its baseline cannot be read: {error!r}") from error


def _performance(stored: Mapping[str, Any]) -> Performance:
    auc, average_precision = (
        math.nan if stored[name] is None else float(stored[name])
        for name in ("auc", "average_precision")
    )
    return Performance(int(stored["rows"]), int(stored["positives"]), auc, average_precision)
