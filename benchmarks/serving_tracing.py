"""Rows a second with traces beside without: `python -m benchmarks.serving --tracing`.

Two services on one core take turns under the same load; both serve a constant model, so that what
tracing costs is a larger share than beside a real one. A collector of our own takes what is kept.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.load import SERVER_CORE, Measured, on_core, press
from benchmarks.report import Bar
from benchmarks.services import Services
from benchmarks.serving_race import WARM_USERS, post_batch, say, settle
from benchmarks.serving_world import push, write_bodies
from tests.support.collector import running_collector
from understudy.rehearsal import models

BARS: dict[str, Bar] = {
    "traced_vs_untraced": (">=", 0.97),
    "traced_p99_vs_untraced": ("<=", 1.1),
    "failed": ("==", 0),
}
_ARMS = ("untraced", "traced")


def measure(rounds: int, seconds: float) -> dict[str, float]:
    """Medians over the rounds, and the medians of their ratios."""
    found: dict[str, list[Measured]] = {name: [] for name in _ARMS}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        collector = stack.enter_context(running_collector())
        arms = {
            "untraced": constant_service(stack, folder / "untraced"),
            "traced": constant_service(
                stack, folder / "traced", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url
            ),
        }
        bodies = write_bodies(folder / "bodies.jsonl", range(WARM_USERS))
        for services in arms.values():
            post_batch(services, bodies, "known", WARM_USERS)
        for number in range(rounds):
            # alternating order
            for name in _ARMS if number % 2 else reversed(_ARMS):
                services = arms[name]
                settle(services)
                url, pid = f"{services.url}/predict", services.pid("api")
                measured = press(url, pid, bodies, f"{name}-{number}-", seconds)
                say(f"  {number} {name:<9} {measured}")
                found[name].append(measured)
        spans = len(collector.spans)
    return {**compared(found, "traced", "untraced"), "spans": spans}


def compared(found: dict[str, list[Measured]], one: str, other: str) -> dict[str, float]:
    """Medians of two arms over the rounds, and the medians of their ratios."""
    pairs = list(zip(found[one], found[other], strict=True))
    return {
        **{f"{name}_per_second": round(median(m.per_second for m in found[name]))
           for name in (other, one)},
        f"{one}_vs_{other}": round(median(a.per_second / b.per_second for a, b in pairs), 3),
        f"{one}_vs_{other}_by_cpu": round(
            median(a.per_cpu_second / b.per_cpu_second for a, b in pairs), 3
        ),
        f"{one}_p99_vs_{other}": round(median(a.p99_ms / b.p99_ms for a, b in pairs), 3),
        "failed": sum(each.failed for ones in found.values() for each in ones),
    }  # fmt: skip


def constant_service(stack: ExitStack, folder: Path, **settings: str) -> Services:
    """A service with a folder of its own on the core of the server; its model is a constant."""
    folder.mkdir()
    # the load exceeds the write quota of anonymous callers
    settings = {"ANONYMOUS_BYTES_PER_SECOND": "0", **settings}
    services = stack.enter_context(Services(folder, **settings))
    with on_core(SERVER_CORE):
        services.start_api()
    push(services.url, services.folder / "keys", models.good("1.0.0"))
    return services
