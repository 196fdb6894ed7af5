"""Runs to be tracked."""

from pathlib import Path

from scheduler.tracked_run import TrackedRun


def a_run(
    run_id: int = 1,
    version: str | None = "1.0.0",
    serving: str | None = "1.0.0",
    status: str = "SUCCEEDED",
    artefacts: Path | None = None,
) -> TrackedRun:
    return TrackedRun(
        run_id=run_id,
        use_case="tiny",
        status=status,
        code="promoted",
        message="better <b>than</b> before",
        version=version,
        serving_version=serving,
        parameters={f"hyperparameter.{place}": str(place) for place in range(150)},
        metrics={"candidate.average_precision": 0.61, "guard.amount 1.50/2: gain": -0.01},
        artefacts=artefacts,
    )
