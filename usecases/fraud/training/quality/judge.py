"""The data-quality gate: every check over one snapshot, and a verdict that names each fault.

To add a check, write a function from snapshot and context, or from blocks of days, to
findings, and put it into the tuple.
"""

from collections.abc import Callable, Sequence
from itertools import chain

import polars as pl

from learning.dataset.large import Workplace
from learning.dataset.scanned import Snapshot
from shared.verdicts import Finding, Number, Verdict, conclude

from ..policy import QualityPolicy
from .context import Blocks, Context, context_of
from .identities import (
    merchants_gone,
    repeated_transactions,
    reused_devices,
    reused_users,
)
from .labels import flipped_days, vanished_positives
from .rows import row_faults, schema_faults, total_faults
from .senders import new_senders
from .times import (
    duplicated_days,
    early_events,
    shifted_rhythm,
    truncated_days,
)
from .values import (
    changed_unit,
    constant_columns,
    null_bursts,
    rounded_amounts,
    swapped_numbers,
    unseen_texts,
)

GATE = "data_quality"

Check = Callable[[Snapshot, Context], list[Finding]]
BlockCheck = Callable[[Blocks], list[Finding]]
_Asked = tuple[Callable[..., list[Finding]], bool]
"""A check, and whether it takes the blocks of days."""

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


def judge_quality(
    snapshot: Snapshot, as_of_us: int, policy: QualityPolicy, place: Workplace | None = None
) -> Verdict:
    """PASS when no check finds a fault; FAIL names each, worst first.

    With a `place`, each check of a snapshot in a file is a task of the run's executor.
    """
    findings = schema_faults(snapshot)
    judged_days = 0
    if not findings:
        context = context_of(snapshot, as_of_us, policy, place)
        findings = find_faults(snapshot, context, place=place)
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
    place: Workplace | None = None,
) -> list[Finding]:
    """The findings of all checks: those of whole days first, because they explain many rows."""
    blocks = context.blocks
    of_days = block_checks if blocks is not None and blocks.daily.judged.height else ()
    asked: list[_Asked] = [
        *((check, True) for check in of_days),
        *((check, False) for check in checks),
    ]
    common = (snapshot, context)
    if place is None:
        found = [_find(common, one) for one in asked]
    else:
        found = place.map(_find, common, asked, [check.__name__ for check, _ in asked])
    return list(chain.from_iterable(found))


def _find(common: tuple[Snapshot, Context], asked: _Asked) -> list[Finding]:
    """The findings of one check."""
    (snapshot, context), (check, is_of_days) = common, asked
    return check(context.blocks) if is_of_days else check(snapshot, context)
