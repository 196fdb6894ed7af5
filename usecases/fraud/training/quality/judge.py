"""The data-quality gate: every check over one snapshot, and a verdict that names each fault.

To add a check, write a function from snapshot and context, or from blocks of days, to
findings, and put it into the tuple.
"""

from collections.abc import Callable, Sequence

import polars as pl

from learning.dataset.scanned import Snapshot
from shared.quality.finding import Finding, Number
from shared.quality.verdict import conclude
from shared.verdicts import Verdict

from ..policy import QualityPolicy
from .amounts import changed_unit, rounded_amounts
from .clocks import early_events, shifted_rhythm
from .columns import constant_columns, null_bursts
from .context import Blocks, Context, context_of
from .identities import (
    repeated_transactions,
    reused_devices,
    reused_users,
)
from .labels import flipped_days, vanished_positives
from .merchants import merchants_gone
from .rows import row_faults
from .schema import schema_faults
from .senders import new_senders
from .swapped import swapped_numbers
from .texts import unseen_texts
from .totals import total_faults
from .volume import duplicated_days, truncated_days

GATE = "data_quality"

Check = Callable[[Snapshot, Context], list[Finding]]
BlockCheck = Callable[[Blocks], list[Finding]]

CHECKS: tuple[Check, ...] = (total_faults, repeated_transactions, row_faults, new_senders)
BLOCK_CHECKS: tuple[BlockCheck, ...] = (
    swapped_numbers,
    unseen_texts,
    early_events,
    changed_unit,
    duplicated_days,
    truncated_days,
    flipped_days,
    vanished_positives,
    reused_users,
    reused_devices,
    rounded_amounts,
    null_bursts,
    constant_columns,
    merchants_gone,
    shifted_rhythm,
)


def judge_quality(snapshot: Snapshot, as_of_us: int, policy: QualityPolicy) -> Verdict:
    """PASS when no check finds a fault; FAIL names each, worst first."""
    findings = schema_faults(snapshot)
    judged_days = 0
    if not findings:
        context = context_of(snapshot, as_of_us, policy)
        findings = find_faults(snapshot, context)
        judged_days = context.blocks.daily.judged.height if context.blocks else 0
    numbers: dict[str, Number] = {"rows": snapshot.height, "judged_days": judged_days}
    if "label" in snapshot.columns:
        numbers["labelled"] = snapshot["label"].count()
        numbers["positives"] = snapshot.select((pl.col("label") == 1).sum()).item()
    clean = f"{snapshot.height} rows, {numbers.get('positives')} positives"
    return conclude(GATE, findings, policy.accepted, numbers, clean)


def find_faults(
    snapshot: Snapshot,
    context: Context,
    checks: Sequence[Check] = CHECKS,
    block_checks: Sequence[BlockCheck] = BLOCK_CHECKS,
) -> list[Finding]:
    """The findings of all checks: those of whole days first, because they explain many rows."""
    blocks = context.blocks
    findings: list[Finding] = []
    if blocks is not None and blocks.daily.judged.height:
        findings += [found for block_check in block_checks for found in block_check(blocks)]
    return findings + [found for check in checks for found in check(snapshot, context)]
