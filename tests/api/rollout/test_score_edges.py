"""Scores that are not probabilities are counted in bins of their own range, by every worker."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from api.rollout.arm_counts import SCORE_EDGES, ArmCounts, Counters, total
from api.rollout.arm_statistics import arm_statistics
from api.rollout.reconciler import score_edges
from shared.tasks.observed import range_edges


@dataclass(frozen=True)
class Meta:
    manifest: dict[str, Any]


@dataclass(frozen=True)
class OneVersion:
    """A registry with one version, whose bundle cannot be read."""

    components: tuple[str, ...]
    root: Path

    def meta(self, _version: str) -> Meta:
        return Meta({"components": self.components})


def test_a_probability_keeps_the_fixed_bins(tmp_path: Path) -> None:
    for components in (("classifier", "isolation_forest"), ("probability",)):
        assert score_edges(OneVersion(components, tmp_path), "1.0.0") == SCORE_EDGES  # type: ignore[arg-type]


def test_a_value_without_a_baseline_has_bins_of_either_sign(tmp_path: Path) -> None:
    edges = score_edges(OneVersion(("prediction",), tmp_path), "1.0.0")  # type: ignore[arg-type]
    assert edges[0] < -1e6 < 1e6 < edges[-1]


def test_two_versions_that_answer_other_values_do_not_look_alike() -> None:
    rng = np.random.default_rng(0)
    champion_values = rng.normal(250.0, 5.0, 4_000)
    edges = range_edges(np.quantile(champion_values, np.linspace(0.05, 0.95, 19)).tolist())
    champion, candidate, before = ArmCounts(edges=edges), ArmCounts(edges=edges), ArmCounts()
    for place, value in enumerate(champion_values):
        champion.scored(place % 64, value, is_alert=False)
        candidate.scored(place % 64, value + 3.0, is_alert=False)
        before.scored(place % 64, value, is_alert=False)
    assert {share.share.mean for share in arm_statistics(before, 1).scores} == {0.0}
    pairs = zip(
        arm_statistics(champion, 1).scores, arm_statistics(candidate, 1).scores, strict=True
    )
    separated = [
        abs(one.share.mean - other.share.mean)
        / np.hypot(one.share.standard_error, other.share.standard_error)
        for one, other in pairs
    ]
    assert max(separated) > 10


def test_workers_counts_in_the_same_bins_add_up(tmp_path: Path) -> None:
    edges = range_edges([1.0, 2.0, 3.0])
    for value in (0.5, 2.5, 900.0):
        worker = Counters(tmp_path, "stage", edges)
        worker.arms.champion.scored(3, value, is_alert=False)
        worker.flush()
    arms, _, _ = total(tmp_path, "stage")
    assert (arms.champion.edges, sum(arms.champion.rows), sum(arms.champion.bins)) == (edges, 3, 3)
    again = ArmCounts.from_json(orjson.loads(orjson.dumps(arms.champion.to_json())))
    assert again == arms.champion
    other = ArmCounts()
    other.scored(0, 0.5, is_alert=False)
    with pytest.raises(ValueError, match="other edges"):
        again.add(other)
