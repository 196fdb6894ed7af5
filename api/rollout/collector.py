"""Metrics of both arms for Prometheus, read from the counts on each scrape."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.rollout.arm_counts import ArmCounts, StageCounts, total
from api.rollout.controller import RolloutController

_ARM = ["arm", "version"]


class RolloutCollector(Collector):
    """Empty while no version is rolled out; counts restart with each stage."""

    def __init__(self, rollout_controller: RolloutController) -> None:
        self._controller = rollout_controller

    def describe(self) -> list[Metric]:
        """Describes no series: they depend on the rollout in progress."""
        return []

    def collect(self) -> Iterator[Metric]:
        rollout = self._controller.rollout
        # Sums over all workers of this host: worker 0 alone reports them.
        if rollout is None or self._controller.worker != 0:
            return
        share = GaugeMetricFamily(
            "understudy_rollout_share_ratio",
            "Share of users who get the candidate's answers; 0 for a shadow",
            labels=["mode", "version"],
        )
        share.add_metric([rollout.mode, rollout.version], rollout.share_percent / 100)
        yield share
        reports = self._controller.told().values()
        following = sum(said["stage"] == rollout.stage_key for said in reports)
        yield GaugeMetricFamily(
            "understudy_rollout_workers_behind",
            "Workers that do not have the stage in force",
            value=self._controller.workers - following,
        )
        arms, champions, candidates = total(
            self._controller.counters_dir, rollout.stage_key, own=True
        )
        users = GaugeMetricFamily(
            "understudy_rollout_users", "Distinct users seen, up to 20,000 a worker", labels=_ARM
        )
        users.add_metric(["champion", rollout.champion], champions)
        users.add_metric(["candidate", rollout.version], candidates)
        yield users
        yield from _of_arms(arms, rollout.champion, rollout.version)
        yield from _of_shadow(arms)


def _of_arms(arms: StageCounts, champion: str, candidate: str) -> Iterator[Metric]:
    counts: dict[str, tuple[str, Callable[[ArmCounts], float]]] = {
        "requests": ("Rows of an arm", lambda counts: sum(counts.rows) + counts.errors),
        "errors": ("Rows its model failed to score", lambda counts: counts.errors),
        "alerts": (
            "Alerts: rows with a decision such as review or block",
            lambda counts: sum(counts.alerts),
        ),
        "timed": ("Rows with a measured latency", lambda counts: sum(counts.timed)),
        "seconds": ("Sum of their latencies", lambda counts: sum(counts.latency_ms) / 1_000),
    }
    for name, (text, count) in counts.items():
        family = CounterMetricFamily(f"understudy_rollout_{name}", text, labels=_ARM)
        family.add_metric(["champion", champion], count(arms.champion))
        family.add_metric(["candidate", candidate], count(arms.candidate))
        yield family


def _of_shadow(arms: StageCounts) -> Iterator[Metric]:
    figures = {
        "dropped": ("Rows the shadow's queue had no room for", arms.dropped),
        "restarts": ("Restarts of the shadow's process", arms.restarts),
    }
    for name, (text, value) in figures.items():
        yield CounterMetricFamily(f"understudy_shadow_{name}", text, value=value)
