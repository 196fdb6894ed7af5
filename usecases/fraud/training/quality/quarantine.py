"""A few wrong rows are quarantined, so that one of them does not block every later run."""

import polars as pl

from learning.dataset.scanned import Snapshot
from shared.usecase.learning import Quarantine

from ..policy import QualityPolicy
from .context import Context
from .rows import row_checks
from .schema import schema_faults

FEW_ROWS = 10
"""The number of rows that counts as few in a snapshot of any size."""


def quarantine(snapshot: pl.DataFrame, as_of_us: int, policy: QualityPolicy) -> Quarantine:
    """The snapshot without wrong rows; unchanged where there are more than the policy allows.

    The data-quality gate names the remaining wrong rows, and fails.
    """
    found = wrong_rows(snapshot, as_of_us, policy)
    if found is None:
        return Quarantine(snapshot, {}, 0)
    is_wrong, faults = found
    return Quarantine(snapshot.filter(~is_wrong), faults, int(is_wrong.sum()))


def wrong_rows(
    snapshot: Snapshot, as_of_us: int, policy: QualityPolicy
) -> tuple[pl.Series, dict[str, int]] | None:
    """A mask of wrong rows, and their faults by name; None where no row is to be left out."""
    if schema_faults(snapshot):
        return None
    checks = row_checks(Context(as_of_us, policy, None))
    violated = [check.violated.fill_null(value=False) for check in checks]
    is_wrong = snapshot.select(pl.any_horizontal(violated).alias("wrong"))["wrong"]
    rows = int(is_wrong.sum())
    if not 0 < rows <= max(FEW_ROWS, policy.max_quarantined_share * snapshot.height):
        return None
    counts = snapshot.select(
        *(each.sum().alias(check.name) for each, check in zip(violated, checks, strict=True))
    )
    faults = {name: int(count) for name, count in counts.row(0, named=True).items() if count}
    return is_wrong, faults
