"""Whether a pushed version may come after what was accepted before."""

from api.models.refusals import FencingStale, VersionNotNewer
from api.registry.ledger import Ledger
from shared.bundle.version import Version


def check_order(ledger: Ledger, offered: Version, fencing_number: int | None) -> None:
    """Only newer versions, only from the newest scheduler.

    Raises:
        FencingStale, VersionNotNewer: says what came before.
    """
    check_fencing(ledger, fencing_number)
    newest = ledger.newest
    if newest is not None and offered <= newest:
        what = "has been accepted before" if offered == newest else "is older"
        raise VersionNotNewer(f"version {offered} {what}; newest accepted is {newest}")


def check_step(ledger: Ledger, fencing_number: int | None) -> None:
    """Raises FencingStale when another scheduler has pushed, or moved a rollout, since."""
    check_fencing(ledger, fencing_number)
    newest = ledger.step_fencing_number
    if fencing_number is not None and fencing_number < newest:
        raise FencingStale(f"fencing number {fencing_number} is older than {newest}")


def check_fencing(ledger: Ledger, fencing_number: int | None) -> None:
    """Raises FencingStale when another scheduler has taken over since."""
    if fencing_number is not None and fencing_number < ledger.fencing_number:
        raise FencingStale(f"fencing number {fencing_number} is older than {ledger.fencing_number}")
