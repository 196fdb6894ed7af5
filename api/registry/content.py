"""The part of a registry that hosts share besides bundles: its form in the store, and its merge.

`state.json` in the store is the registry as all hosts see it; `.store.json` on disk is what this
host remembers of it. Two hosts' views merge into one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.registry.ledger import (
    KEPT_ACTIVATIONS,
    Acceptance,
    Activation,
    Ending,
    Ledger,
    VersionName,
)
from api.registry.rollouts import Rollouts
from shared.errors import SettingsError
from shared.storage.object_store import Revision
from shared.system.files import write_whole

_WEIGHT = (Ending.REPLACED, Ending.ROLLED_BACK, Ending.CRASHED, Ending.REVOKED)
STATE = "state.json"
BUNDLES = "bundles/"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class RegistryContent:
    """The live version, the ledger and the rollout."""

    current: str | None
    ledger: Ledger
    rollouts: Rollouts


@dataclass(frozen=True, slots=True)
class Offered:
    """A change that the store has, or is owed.

    Attributes:
        revision: of the shared state with this change; None: the store was away.
    """

    revision: Revision | None
    sequence: int
    change_id: str


class SharedRegistry(Protocol):
    """The registry's part in the store."""

    def offer(self, content: RegistryContent, *, may_be_owed: bool) -> Offered:
        """Make this the content for all hosts.

        Raises:
            WriteConflict: another host was faster.
            StoreAway: the store does not answer, and the change may not be owed.
        """
        ...

    def settle(self, offered: Offered) -> None:
        """The change is on this host's disk as well."""
        ...


def merged(local: RegistryContent, shared: RegistryContent, now_us: int) -> RegistryContent:
    """One content of both: what any host has ever found out stays.

    Acceptances, activations, rollbacks and revocations of both count. The store's live version
    stays, unless some host has left it since it was last put into service: a rollback away from a
    version is never undone by an older record.
    """
    ledger = _ledger(local.ledger, shared.ledger)
    current = _current(ledger, local.current, shared.current)
    if current is not None and not _is_open(ledger, current):
        ledger = ledger.with_activation(current, now_us)
    return RegistryContent(
        current, _ending_with(ledger, current), _rollouts(local.rollouts, shared.rollouts)
    )


def _ledger(local: Ledger, shared: Ledger) -> Ledger:
    names = {**shared.accepted, **local.accepted}
    return Ledger(
        accepted={
            name: _acceptance(local.accepted.get(name), shared.accepted.get(name)) for name in names
        },
        activations=_activations((*shared.activations, *local.activations)),
        fencing_number=max(local.fencing_number, shared.fencing_number),
        step_fencing_number=max(local.step_fencing_number, shared.step_fencing_number),
    )


def _acceptance(local: Acceptance | None, shared: Acceptance | None) -> Acceptance:
    known = shared or local
    if known is None:
        raise ValueError("neither side has it")
    if local is None or shared is None:
        return known
    update: dict[str, object] = {}
    if (local.rolled_back_at_us or 0) > (shared.rolled_back_at_us or 0):
        update["rolled_back_at_us"] = local.rolled_back_at_us
        update["rolled_back_reason"] = local.rolled_back_reason
    if shared.revoked_at_us is None and local.revoked_at_us is not None:
        update["revoked_at_us"] = local.revoked_at_us
        update["revoked_reason"] = local.revoked_reason
    return shared.model_copy(update=update)


def _activations(both: Iterable[Activation]) -> tuple[Activation, ...]:
    """Each once, with everything that is known of it, in the order of their times."""
    known: dict[tuple[str, int], Activation] = {}
    for activation in both:
        key = (activation.version, activation.activated_at_us)
        known[key] = _one(known[key], activation) if key in known else activation
    return tuple(sorted(known.values(), key=lambda a: a.activated_at_us))[-KEPT_ACTIVATIONS:]


def _one(first: Activation, second: Activation) -> Activation:
    ended = max(first.ended, second.ended, key=_weight)
    return first.model_copy(
        update={
            "served_well_at_us": _earliest(first.served_well_at_us, second.served_well_at_us),
            "left_at_us": _earliest(first.left_at_us, second.left_at_us),
            "ended": ended,
        }
    )


def _weight(ended: Ending | None) -> int:
    return -1 if ended is None else _WEIGHT.index(ended)


def _earliest(first: int | None, second: int | None) -> int | None:
    return min((at for at in (first, second) if at is not None), default=None)


def _current(ledger: Ledger, local: str | None, shared: str | None) -> str | None:
    """The version to serve; one that was left only where there is no better, none revoked."""
    if shared is None:
        return local
    if _stands(ledger, shared):
        return shared
    if local is not None and _stands(ledger, local):
        return local
    served = (activation.version for activation in reversed(ledger.activations))
    known = (*ledger.return_order(set(ledger.accepted)), shared, *served)
    return next((name for name in known if not ledger.is_revoked(name)), shared)


def _stands(ledger: Ledger, version: str) -> bool:
    """True if no host has left this version since it was last put into service."""
    if ledger.is_revoked(version) or ledger.was_left(version):
        return False
    return _is_open(ledger, version)


def _is_open(ledger: Ledger, version: str) -> bool:
    last = next((a for a in reversed(ledger.activations) if a.version == version), None)
    return last is not None and last.left_at_us is None


def _ending_with(ledger: Ledger, current: str | None) -> Ledger:
    """The live version's activation is the last one, and the only one without an end."""
    found = [a for a in ledger.activations if a.version == current and a.left_at_us is None]
    if not found:
        return ledger
    live = found[-1]
    others = tuple(
        a if a.left_at_us is not None else a.closed(Ending.REPLACED, live.activated_at_us)
        for a in ledger.activations
        if a is not live
    )
    return ledger.model_copy(update={"activations": (*others, live)})


def _rollouts(local: Rollouts, shared: Rollouts) -> Rollouts:
    """The store's, unless this host has ended that very rollout."""
    running, ended = shared.current, local.last
    if running is None or ended is None:
        return shared
    is_same = (running.version, running.began_at_us) == (ended.version, ended.began_at_us)
    return Rollouts(current=None, last=ended) if is_same else shared


class SharedState(BaseModel):
    """The registry as all hosts see it.

    Attributes:
        change_id: of the write that made it; no two contents are equal, so neither are e-tags.
    """

    model_config = ConfigDict(frozen=True)

    format: int = _FORMAT
    use_case: str
    sequence: int = Field(ge=0)
    change_id: str
    writer: str
    written_at_us: int
    current: VersionName | None
    ledger: Ledger
    rollouts: Rollouts

    @property
    def content(self) -> RegistryContent:
        return RegistryContent(self.current, self.ledger, self.rollouts)

    def to_bytes(self) -> bytes:
        return self.model_dump_json(indent=1).encode() + b"\n"


def read_state(raw: bytes, use_case: str, store: str) -> SharedState:
    """Raises SettingsError when it is damaged, of a newer release, or of another use case."""
    try:
        state = SharedState.model_validate_json(raw)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise SettingsError(
            f"STORE_URL: {store}/{STATE} cannot be read ({where} {problem['msg']}); restore an "
            "older version of that object, or remove it: the hosts then write it again"
        ) from error
    if state.format > _FORMAT:
        raise SettingsError(f"STORE_URL: {store} was written by a newer release; upgrade this host")
    if state.use_case != use_case:
        raise SettingsError(
            f"STORE_URL: {store} belongs to the use case {state.use_case!r}, and this host serves "
            f"{use_case!r}; give each its own prefix"
        )
    return state


class Base(BaseModel):
    """The shared state that this host's directory is based on.

    Attributes:
        owed: whether changes were made here since that the store does not have.
    """

    model_config = ConfigDict(frozen=True)

    store: str
    e_tag: str | None = None
    number: str | None = None
    sequence: int = 0
    change_id: str = ""
    owed: bool = False

    @property
    def revision(self) -> Revision | None:
        """None: there was no shared state yet."""
        return (
            None
            if self.e_tag is None and self.number is None
            else Revision(self.e_tag, self.number)
        )


class BaseFile:
    """`.store.json` in the registry."""

    def __init__(self, registry_root: Path, store: str) -> None:
        self._path = registry_root / ".store.json"
        self._store = store

    def read(self) -> Base | None:
        """None: this directory has never been compared with this store."""
        try:
            base = Base.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return None
        return base if base.store == self._store else None

    def write(self, base: Base) -> None:
        write_whole(self._path, base.model_dump_json().encode() + b"\n")
