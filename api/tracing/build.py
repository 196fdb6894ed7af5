"""Builds the tracers of a worker; where no collector is named there are none."""

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from api.metrics import Metrics
from api.row_metrics import BUCKETS
from api.settings import Settings
from api.tracing.tail import LastMinute, TailSampler
from api.tracing.tracers import BatchTracer, RequestTracer
from shared.tracing.pipe import SpanPipe
from shared.usecase.serving import ServingUseCase


@dataclass(frozen=True, slots=True)
class Tracing:
    """The parts that trace; all None if no collector is configured."""

    pipe: SpanPipe | None = None
    batches: BatchTracer | None = None
    requests: RequestTracer | None = None

    def start(self) -> None:
        if self.pipe is not None:
            self.pipe.start()

    def close(self) -> None:
        if self.pipe is not None:
            self.pipe.close()


def build_tracing(
    settings: Settings, use_case: ServingUseCase, metrics: Metrics, worker: int
) -> Tracing:
    """Starts nothing."""
    endpoint, sampler = settings.otel_exporter_otlp_endpoint, TailSampler()
    pipe = None if endpoint is None else SpanPipe("api", endpoint)
    metrics.registry.register(TraceCounts(pipe, sampler))
    if pipe is None:
        return Tracing()
    # latency of the first route only: the others have few rows
    minute = LastMinute(BUCKETS, metrics.route(use_case.routes[0].path).buckets)
    return Tracing(
        pipe,
        BatchTracer(pipe, sampler, minute, worker),
        RequestTracer(pipe, sampler, metrics, worker),
    )


class TraceCounts(Collector):
    """Numbers of traces kept and dropped."""

    def __init__(self, pipe: SpanPipe | None, sampler: TailSampler) -> None:
        self._pipe = pipe
        self._sampler = sampler

    def collect(self) -> Iterable[Metric]:
        kept = CounterMetricFamily(
            "understudy_traces_kept",
            "Traces kept by tail sampling, by reason",
            labels=("reason",),
        )
        for reason in ("error", "caller", "slow", "chance"):
            kept.add_metric((reason,), self._sampler.kept[reason])
        dropped = CounterMetricFamily(
            "understudy_traces_dropped",
            "Traces not exported: too many a second (limit), or a full pipe (pipe)",
            labels=("reason",),
        )
        dropped.add_metric(("limit",), self._sampler.over_limit)
        dropped.add_metric(("pipe",), 0 if self._pipe is None else self._pipe.dropped)
        return (kept, dropped)
