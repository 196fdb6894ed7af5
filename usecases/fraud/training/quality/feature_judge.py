"""The feature-quality gate: what can only be seen once features and split are there."""

from collections.abc import Callable

from learning.dataset.scanned import Snapshot
from shared.quality.finding import Finding, Number
from shared.quality.verdict import conclude
from shared.verdicts import Verdict

from .feature_context import FeatureContext
from .leakage import leaking_features
from .separation import mixed_rows
from .skew import infinite_features, skewed_features

GATE = "feature_quality"

FeatureCheck = Callable[[Snapshot, FeatureContext], list[Finding]]

CHECKS: tuple[FeatureCheck, ...] = (
    leaking_features,
    mixed_rows,
    skewed_features,
    infinite_features,
)


def judge_features(snapshot: Snapshot, context: FeatureContext) -> Verdict:
    """PASS when no check finds a fault; FAIL names each, worst first."""
    findings = [found for check in CHECKS for found in check(snapshot, context)]
    numbers: dict[str, Number] = {
        "train_rows": len(context.split.train),
        "held_out_rows": len(context.split.held_out),
        "features": len(context.names),
        "served_rows": len(context.served.transaction_ids),
    }
    clean = f"{len(context.names)} features, {numbers['served_rows']} served rows compared"
    return conclude(GATE, findings, context.policy.accepted, numbers, clean)
