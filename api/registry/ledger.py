"""The ledger: every version ever accepted, and every time one was in service.

Pure state. Versions stay here after their files are gone, which is what makes a replay
or a downgrade recognisable after any time.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

import structlog
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.bundle.version import Version
from shared.clock import wall_ns
from shared.system.files import write_whole

# Enough to find fallbacks; the audit trail has the complete history.
KEPT_ACTIVATIONS = 200
_END_OF_9999_US = 253_402_300_799_999_999
# Targets of rollbacks that are kept on disk in addition to the newest versions.
_KEPT_TARGETS = 3

_log = structlog.get_logger()
Model = TypeVar("Model", bound=BaseModel)


def _is_version(text: str) -> str:
    return str(Version.parse(text))


VersionName = Annotated[str, AfterValidator(_is_version)]
Instant = Annotated[int, Field(ge=0, le=_END_OF_9999_US)]


class Ending(StrEnum):
    """The end of a version's time in service."""

    REPLACED = "replaced"
    ROLLED_BACK = "rolled-back"
    CRASHED = "crashed"
    REVOKED = "revoked"


class Acceptance(BaseModel):
    """A version whose bundle was found good."""

    model_config = ConfigDict(frozen=True)

    version: VersionName
    sha256: str
    key_id: str
    accepted_at_us: Instant
    rolled_back_at_us: Instant | None = None
    rolled_back_reason: str | None = None
    revoked_at_us: Instant | None = None
    revoked_reason: str | None = None


class Activation(BaseModel):
    """One time that a version was in service.

    Attributes:
        served_well_at_us: when it had served for the declared time, with the declared rows.
    """

    model_config = ConfigDict(frozen=True)

    version: VersionName
    activated_at_us: Instant
    served_well_at_us: Instant | None = None
    left_at_us: Instant | None = None
    ended: Ending | None = None

    def closed(self, ended: Ending, now_us: int) -> "Activation":
        left_at_us = now_us if self.left_at_us is None else self.left_at_us
        return self.model_copy(update={"ended": ended, "left_at_us": left_at_us})


class Ledger(BaseModel):
    """Immutable; every change gives a new one."""

    model_config = ConfigDict(frozen=True)

    accepted: dict[str, Acceptance] = Field(default_factory=dict)
    activations: tuple[Activation, ...] = ()
    fencing_number: int = Field(default=0, ge=0)
    # The fencing number of rollout steps: another process drives them than the one that pushes.
    step_fencing_number: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _keys_are_versions(self) -> Self:
        wrong = [key for key, one in self.accepted.items() if key != one.version]
        if wrong:
            raise ValueError(f"entries under another version's name: {wrong[:3]}")
        return self

    @property
    def newest(self) -> Version | None:
        return max((Version.parse(version) for version in self.accepted), default=None)

    @property
    def served_last(self) -> Activation | None:
        """The activation that is in force, as far as the ledger knows."""
        return self.activations[-1] if self.activations else None

    def with_accepted(self, acceptance: Acceptance, fencing_number: int | None) -> "Ledger":
        return self._but(
            accepted={**self.accepted, acceptance.version: acceptance},
            fencing_number=max(self.fencing_number, fencing_number or 0),
        )

    def with_step(self, fencing_number: int | None) -> "Ledger":
        """A rollout was moved with this fencing number; lower ones are refused from now on."""
        return self._but(step_fencing_number=max(self.step_fencing_number, fencing_number or 0))

    def with_activation(self, version: str, now_us: int) -> "Ledger":
        """A version is taken into service, in the place of the one before it.

        After its last rollback, whatever another host's clock said then.
        """
        before, known = self.activations, self.accepted.get(version)
        if known is not None and known.rolled_back_at_us is not None:
            now_us = max(now_us, known.rolled_back_at_us + 1)
        if before and before[-1].left_at_us is None:
            before = (*before[:-1], before[-1].closed(Ending.REPLACED, now_us))
        activation = Activation(version=version, activated_at_us=now_us)
        return self._but(activations=(*before, activation)[-KEPT_ACTIVATIONS:])

    def with_earlier_activation(self, version: str) -> "Ledger":
        """Gives versions without a known activation one at acceptance, in a rebuilt ledger."""
        at_us = self.accepted[version].accepted_at_us
        if self.activated_at_us(version) is not None or self.was_left(version):
            return self
        before = [a for a in self.activations if a.activated_at_us <= at_us]
        after = self.activations[len(before) :]
        found = Activation(version=version, activated_at_us=at_us)
        return self._but(activations=(*before, found, *after)[-KEPT_ACTIVATIONS:])

    def with_served_well(self, version: str, now_us: int) -> "Ledger":
        """The version in service has served for the declared time without being left."""
        last = self.served_last
        if last is None or last.version != version or last.served_well_at_us is not None:
            return self
        marked = last.model_copy(update={"served_well_at_us": now_us})
        return self._but(activations=(*self.activations[:-1], marked))

    def with_rollback(
        self, version: str, reason: str, now_us: int, ended: Ending = Ending.ROLLED_BACK
    ) -> "Ledger":
        """Mark a version as rolled back because of its behaviour."""
        if version not in self.accepted:
            return self
        update = {"rolled_back_at_us": now_us, "rolled_back_reason": reason}
        return self._marked(version, **update).with_ending(version, ended, now_us)

    def with_revocation(self, version: str, reason: str, now_us: int) -> "Ledger":
        """Mark an accepted version as one that is never served again."""
        marked = self._marked(version, revoked_at_us=now_us, revoked_reason=reason)
        return marked.with_ending(version, Ending.REVOKED, now_us)

    def with_hand_change(self, version: str, now_us: int) -> "Ledger":
        """Another version was written into the pointer by hand; an older one bars the newer."""
        last, ledger = self.served_last, self
        if last is not None and Version.parse(version) < Version.parse(last.version):
            ledger = ledger.with_rollback(last.version, f"left by hand for {version}", now_us)
        return ledger.with_activation(version, now_us)

    def is_revoked(self, version: str) -> bool:
        found = self.accepted.get(version)
        return found is not None and found.revoked_at_us is not None

    def activated_at_us(self, version: str) -> int | None:
        """The instant at which the version was last taken into service."""
        found = (a.activated_at_us for a in reversed(self.activations) if a.version == version)
        return next(found, None)

    def was_left(self, version: str) -> bool:
        """True if the version was rolled back and not put into service since."""
        accepted = self.accepted.get(version)
        if accepted is None or accepted.rolled_back_at_us is None:
            return False
        last = next((a for a in reversed(self.activations) if a.version == version), None)
        return (
            last is None
            or last.ended in (Ending.ROLLED_BACK, Ending.CRASHED, Ending.REVOKED)
            or last.activated_at_us <= accepted.rolled_back_at_us
        )

    def is_proven(self, version: str) -> bool:
        """True if it served well in an earlier time in service, and was not rolled back since."""
        proven = (a.served_well_at_us is not None and a.left_at_us is not None
                  for a in self._since_marked() if a.version == version)  # fmt: skip
        return not self.was_left(version) and any(proven)

    def return_order(self, stored: set[str]) -> list[str]:
        """Candidates for a rollback among the versions on disk, the best first.

        Those that served well come before those that were replaced sooner, or got too few rows to
        tell; among either the one that served last is first.
        """
        newest_first = reversed(list(self._since_marked()))
        ranked = sorted(newest_first, key=lambda a: a.served_well_at_us is None)
        names = dict.fromkeys(activation.version for activation in ranked)
        return [name for name in names if name in stored and self._is_good(name)]

    def fallback_for(self, current: str, stored: set[str]) -> str | None:
        """The version on disk that a rollback from this one goes to."""
        return next((name for name in self.return_order(stored) if name != current), None)

    def worth_keeping(self) -> set[str]:
        """The last live version, and the possible targets of a rollback."""
        served = list(dict.fromkeys(a.version for a in reversed(self.activations)))
        targets = self.return_order(set(self.accepted))
        return {*served[:2], *targets[: _KEPT_TARGETS + 1]}

    def with_times_trusted(self, declared_us: int) -> "Ledger":
        """Counts versions that served for the declared time as proven, in a rebuilt ledger.

        The number of rows they scored is no longer recorded.
        """
        found = list(self.activations)
        for at, activation in enumerate(found[:-1]):
            end_us = activation.left_at_us or found[at + 1].activated_at_us
            well_us = activation.activated_at_us + declared_us
            if activation.served_well_at_us is None and well_us <= end_us:
                found[at] = activation.model_copy(update={"served_well_at_us": well_us})
        return self._but(activations=tuple(found))

    def _is_good(self, version: str) -> bool:
        known = version in self.accepted
        return known and not self.is_revoked(version) and not self.was_left(version)

    def _since_marked(self) -> Iterator[Activation]:
        """Activations that began after the last rollback from their version."""
        for activation in self.activations:
            accepted = self.accepted.get(activation.version)
            marked_us = None if accepted is None else accepted.rolled_back_at_us
            if marked_us is None or activation.activated_at_us > marked_us:
                yield activation

    def _marked(self, version: str, **update: Any) -> "Ledger":
        marked = self.accepted[version].model_copy(update=update)
        return self._but(accepted={**self.accepted, version: marked})

    def with_ending(self, version: str, ended: Ending, now_us: int) -> "Ledger":
        """Say how the last time that a version was in service ended."""
        for at in reversed(range(len(self.activations))):
            activation = self.activations[at]
            if activation.version == version:
                closed = activation.closed(ended, now_us)
                rest = self.activations[:at], self.activations[at + 1 :]
                return self._but(activations=(*rest[0], closed, *rest[1]))
        return self

    def _but(self, **update: Any) -> "Ledger":
        return self.model_copy(update=update)


@dataclass(frozen=True, slots=True)
class Found:
    """The content of the ledger file.

    Attributes:
        trouble: why it is not the whole ledger; None: it is.
    """

    ledger: Ledger
    trouble: str | None


class LedgerFile:
    """The one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Ledger:
        """Raises OSError or ValidationError when it is not there or not whole."""
        return Ledger.model_validate_json(self.path.read_bytes())

    def salvaged(self) -> Found:
        """The readable part of it."""
        try:
            raw = self.path.read_bytes()
            return Found(Ledger.model_validate_json(raw), None)
        except FileNotFoundError:
            return Found(Ledger(), "it is missing")
        except OSError as error:
            return Found(Ledger(), f"it cannot be read: {error.strerror}")
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, problem["loc"]))
            return Found(_salvage(raw), f"it is damaged: {where} {problem['msg']}".strip())

    def write(self, ledger: Ledger) -> None:
        write_whole(self.path, ledger.model_dump_json(indent=2).encode() + b"\n")

    def put_aside(self) -> None:
        """Keep the damaged one for inspection."""
        aside = self.path.with_name(f"{self.path.name}.damaged-{wall_ns()}")
        try:
            self.path.rename(aside)
        except FileNotFoundError:
            return
        except OSError as error:
            _log.warning("damaged_ledger_not_kept", error=str(error))


def _salvage(raw: bytes) -> Ledger:
    """Every entry that makes sense on its own."""
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        return Ledger()
    if not isinstance(content, dict):
        return Ledger()
    entries, served = content.get("accepted"), content.get("activations")
    found = [_read(Acceptance, one) for one in _values(entries)]
    listed = [_read(Activation, one) for one in _values(served)]
    return Ledger(
        accepted={one.version: one for one in found if one is not None},
        activations=tuple(one for one in listed if one is not None),
        fencing_number=_number(content.get("fencing_number")),
        step_fencing_number=_number(content.get("step_fencing_number")),
    )


def _values(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _read(model: type[Model], value: Any) -> Model | None:
    try:
        return model.model_validate(value)
    except ValidationError:
        return None


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
