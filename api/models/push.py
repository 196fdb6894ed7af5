"""One push of a bundle, and whether it may come after what was accepted before."""

from collections.abc import Callable
from dataclasses import dataclass

from api.models.model_slot import LiveModel
from api.models.refusals import FencingStale, VersionNotNewer
from api.models.serving_state import VersionChange
from api.registry.ledger import Ledger
from api.registry.registry import Meta, StoredVersion
from shared.bundle.version import Version


def check_order(ledger: Ledger, offered: Version, fencing_number: int | None) -> None:
    """Checks that a pushed version is newer than all others and comes from the newest scheduler.

    Raises:
        FencingStale, VersionNotNewer: says what came before.
    """
    check_fencing(ledger, fencing_number)
    newest = ledger.newest
    if newest is not None and offered <= newest:
        what = "has been accepted before" if offered == newest else "is older"
        raise VersionNotNewer(
            f"version {offered} {what}; newest accepted is {newest}. A version that was accepted "
            "is served again by a rollback to it by name"
        )


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


BeginTrial = Callable[[LiveModel, Ledger, tuple[Meta, StoredVersion]], VersionChange]
"""Put a loaded model on trial, and record it with the ledger in which it is accepted."""


@dataclass(frozen=True, slots=True)
class Push:
    """The bundle as it came.

    Attributes:
        trial: puts the loaded model on trial instead of into service, once it is accepted.
    """

    raw: bytes
    signature: str
    fencing_number: int | None
    who: str
    trial: BeginTrial | None = None
