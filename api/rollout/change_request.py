"""Who wants a rollout changed, what they believe of it, and why."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """Who wants a rollout changed, and why.

    Attributes:
        version: the one that is believed to be on trial; None: whichever it is.
        share_percent: the share it is believed to have; None: whatever it is.
    """

    version: str | None
    why: str
    who: str
    fencing_number: int | None = None
    share_percent: int | None = None
