"""The ledger: every version ever accepted and every change of what is served.

Pure state. Versions stay here after their files are gone, which is what makes a replay
or a downgrade recognisable for ever.
"""

from pydantic import BaseModel, ConfigDict, Field

from shared.bundle.version import Version

# Enough to see where a fallback comes from; the audit trail has the whole story.
_KEPT_ACTIVATIONS = 200


class Acceptance(BaseModel):
    """A version whose bundle was found good."""

    model_config = ConfigDict(frozen=True)

    version: str
    sha256: str
    key_id: str
    accepted_at_us: int
    rolled_back_at_us: int | None = None
    rolled_back_reason: str | None = None
    revoked_at_us: int | None = None
    revoked_reason: str | None = None


class Activation(BaseModel):
    """A version was taken into service."""

    model_config = ConfigDict(frozen=True)

    version: str
    activated_at_us: int


class Ledger(BaseModel):
    """Immutable; every change gives a new one."""

    model_config = ConfigDict(frozen=True)

    accepted: dict[str, Acceptance] = Field(default_factory=dict)
    activations: tuple[Activation, ...] = ()
    fencing_number: int = 0
    # Of steps of rollouts: whoever drives them is not who pushes.
    step_fencing_number: int = 0

    @property
    def newest(self) -> Version | None:
        return max((Version.parse(version) for version in self.accepted), default=None)

    def with_accepted(self, acceptance: Acceptance, fencing_number: int | None) -> "Ledger":
        return self.model_copy(
            update={
                "accepted": {**self.accepted, acceptance.version: acceptance},
                "fencing_number": max(self.fencing_number, fencing_number or 0),
            }
        )

    def with_step(self, fencing_number: int | None) -> "Ledger":
        """Somebody with this number moved a rollout; nobody with a lesser one does any more."""
        newest = max(self.step_fencing_number, fencing_number or 0)
        return self.model_copy(update={"step_fencing_number": newest})

    def with_activation(self, version: str, now_us: int) -> "Ledger":
        activation = Activation(version=version, activated_at_us=now_us)
        kept = (*self.activations, activation)[-_KEPT_ACTIVATIONS:]
        return self.model_copy(update={"activations": kept})

    def with_rollback(self, version: str, reason: str, now_us: int) -> "Ledger":
        """Mark a version as one that was stepped back from."""
        left = self.accepted.get(version)
        if left is None:
            return self
        marked = left.model_copy(update={"rolled_back_at_us": now_us, "rolled_back_reason": reason})
        return self.model_copy(update={"accepted": {**self.accepted, version: marked}})

    def with_revocation(self, version: str, reason: str, now_us: int) -> "Ledger":
        """Mark an accepted version as one that is never served again."""
        update = {"revoked_at_us": now_us, "revoked_reason": reason}
        marked = self.accepted[version].model_copy(update=update)
        return self.model_copy(update={"accepted": {**self.accepted, version: marked}})

    def is_revoked(self, version: str) -> bool:
        found = self.accepted.get(version)
        return found is not None and found.revoked_at_us is not None

    def activated_at_us(self, version: str) -> int | None:
        """When the version was last taken into service."""
        found = (a.activated_at_us for a in reversed(self.activations) if a.version == version)
        return next(found, None)

    def served_well(self, version: str) -> bool:
        """Whether it served and was not stepped back from; a version on trial never served."""
        accepted = self.accepted.get(version)
        if accepted is None or accepted.rolled_back_at_us is not None:
            return False
        return self.activated_at_us(version) is not None

    def fallback_for(self, current: str, stored: set[str]) -> str | None:
        """The version served last before this one that is on disk and was not stepped back from."""
        for activation in reversed(self.activations):
            version = activation.version
            if version == current or version not in stored:
                continue
            acceptance = self.accepted.get(version)
            if acceptance is not None and acceptance.rolled_back_at_us is None:
                return version
        return None
