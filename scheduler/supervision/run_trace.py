"""The root of a run's trace: from its claim to its record, also where its process was killed."""

import time

from shared.tables.runs import Run, RunStatus
from shared.tracing.context import TraceContext
from shared.tracing.pipe import SpanSink
from shared.tracing.spans import Attribute, Instants, Span


def keep_root(spans: SpanSink, trace: TraceContext, began: float, run: Run) -> None:
    """Hand over the span; `run` is as it was recorded, `began` by `time.perf_counter`."""
    ns, has_failed = Instants().ns, run.status is RunStatus.FAILED
    known = {
        "run.id": run.run_id,
        "run.attempt": run.fencing_number,
        "run.requested_by": run.requested_by,
        "run.status": run.status.value,
        "run.code": run.code,
        "model.version": run.model_version,
        "model.champion": run.champion_version,
    }
    attributes: dict[str, Attribute] = {
        name: value for name, value in known.items() if value is not None
    }
    root = Span(
        f"run {run.job}",
        trace,
        ns(began),
        ns(time.perf_counter()),
        attributes=attributes,
        error=(run.message or run.code or "failed") if has_failed else None,
    )
    spans.keep([root])
