"""A bundle's `baseline.json`: the distributions that traffic is compared with.

Read from the bundle of the champion, or from that of a named version.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from scheduler.cycle.candidates import CandidateStore
from scheduler.cycle.champion import BundleUnavailable, ServedBundles
from scheduler.drift.column_baseline import ColumnBaselines, from_json, to_json
from scheduler.drift.estimate import Calibration, Performance
from shared.bundle.archive import Bundle, unpack
from shared.bundle.manifest import Manifest
from shared.bundle.version import Version
from shared.errors import BundleError, UnderstudyError

BASELINE, FORMAT = "baseline.json", 1


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
        NoBaseline: the text is not a baseline, or one of another format version.
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


class NotChecked(UnderstudyError):
    """Raised when the champion has no usable baseline; the text says why, and no alarm follows."""


@dataclass(frozen=True, slots=True)
class ChampionBaseline:
    """The champion's description, and what it was trained on."""

    manifest: Manifest
    baseline: Baseline


def baseline_of_champion(bundles: ServedBundles) -> ChampionBaseline:
    """The baseline of the live version.

    Raises:
        ApiUnavailable: no process could report the live version or send its bundle.
        NotChecked: no model serves, or there is no bundle of it that can be trusted.
    """
    serving = bundles.api.current()
    if serving is None:
        raise NotChecked("the API serves no model yet")
    try:
        return _baseline(unpack(bundles.bundle(serving)))
    except (BundleUnavailable, BundleError) as error:
        raise NotChecked(f"the bundle of {serving.version} cannot be read: {error}") from error


def baseline_of_version(candidates: CandidateStore, version: str) -> ChampionBaseline:
    """The baseline of a version stored here, live or not.

    Raises:
        NotChecked: it is not kept here, or has nothing to compare with.
    """
    return _baseline(_bundle(candidates, version))


def _bundle(candidates: CandidateStore, version: str) -> Bundle:
    try:
        raw = candidates.bundle(Version.parse(version))
        if raw is None:
            raise NotChecked(f"the bundle of {version} is not kept here")
        return unpack(raw)
    except (ValueError, BundleError) as error:
        raise NotChecked(f"the bundle of {version} cannot be read: {error}") from error


def _baseline(bundle: Bundle) -> ChampionBaseline:
    version = bundle.manifest.version
    if BASELINE not in bundle.files:
        raise NotChecked(f"the bundle of {version} has no {BASELINE}")
    try:
        return ChampionBaseline(bundle.manifest, decode(bundle.files[BASELINE]))
    except NoBaseline as error:
        raise NotChecked(f"{version}: {error}; the next promotion brings one") from error
