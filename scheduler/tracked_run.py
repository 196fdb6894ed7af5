"""The tracked record of a run: flat parameters, finite metrics, and a folder of files.

A tracker takes such records; the default does nothing with them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from scheduler.cycle.report import RunReport
from shared.bundle.manifest import Manifest
from shared.tables.runs import RunStatus


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """One run.

    Attributes:
        version: of the candidate, None when there is none.
        serving_version: the live version after the run.
        artefacts: the candidate's folder: bundle, verdicts, report.
    """

    run_id: int
    use_case: str
    status: str
    code: str
    message: str
    version: str | None
    serving_version: str | None
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    artefacts: Path | None


def tracked_run(
    run_id: int,
    use_case: str,
    report: RunReport,
    manifest: Manifest | None,
    artefacts: Path | None,
) -> TrackedRun:
    """A run as it ended; pure."""
    promoted = report.status is RunStatus.SUCCEEDED
    return TrackedRun(
        run_id=run_id,
        use_case=use_case,
        status=report.status.value,
        code=report.code,
        message=report.message,
        version=report.model_version,
        serving_version=report.model_version if promoted else report.champion_version,
        parameters={} if manifest is None else _parameters(manifest),
        metrics=_metrics(report),
        artefacts=artefacts,
    )


def _parameters(manifest: Manifest) -> dict[str, str]:
    training = manifest.training_data
    parameters = {
        "components": ",".join(manifest.components),
        "feature_set": manifest.feature_set_version,
        "features": len(manifest.feature_names),
        "training_rows": training.rows,
        "training_positives": training.positives,
        "training_window_start": training.window_start.isoformat(),
        "training_window_end": training.window_end.isoformat(),
        "training_sha256": training.sha256,
        **flat(manifest.hyperparameters, "hyperparameter."),
        **flat(manifest.thresholds, "threshold."),
    }
    return {name: str(value) for name, value in parameters.items()}


def _metrics(report: RunReport) -> dict[str, float]:
    metrics: dict[str, Any] = {"snapshot_rows": report.data_size}
    metrics |= flat(report.metrics or {})
    for verdict in report.verdicts:
        metrics |= flat(verdict.numbers, f"{verdict.gate}.")
        metrics[f"{verdict.gate}.passed"] = float(verdict.passed)
    for step in report.steps:
        metrics[f"seconds.{step['step']}"] = step["duration_seconds"]
    return {name: float(value) for name, value in metrics.items() if _is_figure(value)}


def _is_figure(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)  # type: ignore[arg-type]


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"classifier": {"trees": 10}}` as `{"classifier.trees": 10}`."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


class Tracker(Protocol):
    """Told of every run when it is over and recorded."""

    def track(self, run: TrackedRun) -> None:
        """Pass it on; returns soon and never raises."""
        ...


class NoTracking:
    """A tracker without a tracking server."""

    def track(self, run: TrackedRun) -> None:
        """Records nothing."""
