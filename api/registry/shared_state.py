"""`state.json` in the store, and what this host remembers of it."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.registry.content import RegistryContent
from api.registry.ledger import Ledger, VersionName
from api.registry.rollouts import Rollouts
from shared.errors import SettingsError
from shared.storage.object_store import Revision
from shared.system.files import write_whole

STATE = "state.json"
BUNDLES = "bundles/"
_FORMAT = 1


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
