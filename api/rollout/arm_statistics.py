"""Statistics of both arms from counts, the rollout of GET /current_model, and metrics of both arms.

Standard errors account for similar rows of one user.

A mean over rows is a ratio of two sums over groups of users. Its variance is the linearised
one of a ratio of cluster totals (Cochran 1977, *Sampling Techniques*, 6.3 and 9.3; Deng,
Knoblich and Lu 2018, "Applying the delta method in metric analytics", KDD, for experiments
that split users and count rows), never less than that of independent rows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import sqrt

import numpy as np
import numpy.typing as npt
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.registry.rollouts import Ended, Rollout
from api.rollout.arm_counts import LATENCY_EDGES_MS, ArmCounts, StageCounts, total
from api.rollout.controller import RolloutController
from shared.clock import MICROS_PER_SECOND, isoformat
from shared.contracts.rollouts import (
    SHARES,
    ArmMean,
    ArmStatistics,
    EndedView,
    Mode,
    RolloutArms,
    RolloutView,
    RolloutWorkers,
    ScoreShare,
    ShadowState,
)

_Sums = npt.NDArray[np.float64]
_ARM = ["arm", "version"]


def arm_statistics(counts: ArmCounts, users: int) -> ArmStatistics:
    rows = np.array(counts.rows, dtype=np.float64)
    bins = np.array(counts.bins, dtype=np.float64).reshape(len(rows), -1)
    below = bins.cumsum(axis=1)[:, :-1]
    shares = [
        ScoreShare(below=edge, share=share)
        for at, edge in enumerate(counts.edges)
        if (share := _share(below[:, at], rows)) is not None
    ]
    return ArmStatistics(
        users=users,
        requests=int(rows.sum()) + counts.errors,
        errors=counts.errors,
        alerts=sum(counts.alerts),
        groups=int(np.count_nonzero(rows)),
        alert_rate=_share(np.array(counts.alerts, dtype=np.float64), rows),
        latency_ms=_latency(counts),
        latency_p99_ms=_upper_edge(counts.latency_bins, 0.99),
        scores=shares,
    )


def _share(hits: _Sums, rows: _Sums) -> ArmMean | None:
    total = rows.sum()
    if total == 0:
        return None
    # A share of 0 or 1 would have variance 0: one success and one failure are added.
    guarded = (hits.sum() + 1) / (total + 2)
    return _mean(hits, rows, guarded * (1 - guarded))


def _latency(counts: ArmCounts) -> ArmMean | None:
    rows = np.array(counts.timed, dtype=np.float64)
    total = rows.sum()
    if total == 0:
        return None
    sums = np.array(counts.latency_ms, dtype=np.float64)
    spread = max(0.0, counts.latency_squares / total - (sums.sum() / total) ** 2)
    return _mean(sums, rows, spread)


def _mean(sums: _Sums, rows: _Sums, row_variance: float) -> ArmMean:
    total = rows.sum()
    mean = sums.sum() / total
    used = np.count_nonzero(rows)
    between = 0.0
    if used > 1:
        residuals = sums - mean * rows
        between = (residuals @ residuals) / total**2 * used / (used - 1)
    return ArmMean(mean=float(mean), standard_error=sqrt(max(between, row_variance / total)))


def _upper_edge(bins: Sequence[int], share: float) -> float | None:
    total = sum(bins)
    if total == 0:
        return None
    seen = 0
    for edge, count in zip(LATENCY_EDGES_MS, bins, strict=False):
        seen += count
        if seen >= share * total:
            return edge
    return LATENCY_EDGES_MS[-1]


def rollout_view(rollout_controller: RolloutController, now_us: int) -> RolloutView | None:
    """The rollout in force with the figures of all workers."""
    rollout = rollout_controller.rollout
    if rollout is None:
        return None
    rollout_controller.flush()
    arms, champions, candidates = total(rollout_controller.counters_dir, rollout.stage_key)
    shadow = ShadowState(dropped=arms.dropped, restarts=arms.restarts, gave_up=arms.gave_up)
    return RolloutView(
        mode=rollout.mode,
        version=rollout.version,
        champion=rollout.champion,
        share_percent=rollout.share_percent,
        shares=list(SHARES),
        next_share=rollout.next_share,
        began_at=isoformat(rollout.began_at_us),
        stage_since=isoformat(rollout.stage_since_us),
        stage_seconds=max(0.0, (now_us - rollout.stage_since_us) / MICROS_PER_SECOND),
        begun_by=rollout.who,
        arms=RolloutArms(
            champion=arm_statistics(arms.champion, champions),
            candidate=arm_statistics(arms.candidate, candidates),
        ),
        shadow=shadow if rollout.mode is Mode.SHADOW else None,
        workers=_workers(rollout_controller, rollout),
    )


def ended_view(ended: Ended | None) -> EndedView | None:
    if ended is None:
        return None
    shown = ended.model_dump(exclude={"began_at_us", "ended_at_us"})
    times = {"began_at": isoformat(ended.began_at_us), "ended_at": isoformat(ended.ended_at_us)}
    return EndedView(**shown, **times)


def _workers(rollout_controller: RolloutController, rollout: Rollout) -> RolloutWorkers:
    reports: Mapping[int, dict[str, str | None]] = rollout_controller.told()
    following = sum(said["stage"] == rollout.stage_key for said in reports.values())
    troubles = {at: said["trouble"] for at, said in reports.items() if said["trouble"]}
    return RolloutWorkers(
        following=following, total=rollout_controller.workers, troubles={**troubles}
    )


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
