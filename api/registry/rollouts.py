"""The rollout's state as stored in `rollout.json`: pure state and its transitions.

A rollout is tied to the champion it is measured against. When another version becomes live, for any
reason, the rollout ends on every worker without a write: no canary can survive a rollback.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.registry.ledger import VersionName
from shared.contracts.rollouts import SHARES, Mode
from shared.system.files import write_whole

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """A requested change of a rollout, with its requester and reason.

    Attributes:
        version: the expected version on trial; None: any.
        share_percent: its expected share; None: any.
    """

    version: str | None
    why: str
    who: str
    fencing_number: int | None = None
    share_percent: int | None = None


class RolloutOutcome(StrEnum):
    """The outcome of a rollout."""

    PROMOTED = "promoted"
    ABORTED = "aborted"
    SUPERSEDED = "superseded"


class Rollout(BaseModel):
    """A version on trial.

    Attributes:
        share_percent: of users who get the version's answers; 0 in the shadow.
        stage_since_us: figures of the arms count from here; together with the version it names
            the stage.
    """

    model_config = ConfigDict(frozen=True)

    mode: Mode
    # a stage is named by it in files, and the state may come from a store: nothing but a version
    version: VersionName
    champion: VersionName
    salt: str
    share_percent: int = Field(ge=0, lt=100)
    began_at_us: int
    stage_since_us: int
    who: str

    @property
    def stage_key(self) -> str:
        """Names the stage in files; counters of another stage are not added to these."""
        return f"{self.version}-{self.stage_since_us}"

    @property
    def next_share(self) -> int | None:
        """The next share of the ladder; None: the next step is promotion."""
        return next((share for share in SHARES if share > self.share_percent), None)

    def with_share(self, share_percent: int, now_us: int) -> "Rollout":
        """The next stage, with new figures."""
        changes = {
            "mode": Mode.CANARY,
            "share_percent": share_percent,
            "stage_since_us": max(now_us, self.stage_since_us + 1),
        }
        return self.model_copy(update=changes)


class Ended(BaseModel):
    """The outcome of the last rollout."""

    model_config = ConfigDict(frozen=True)

    mode: Mode
    version: str
    champion: str
    share_percent: int
    outcome: RolloutOutcome
    reason: str
    who: str
    began_at_us: int
    ended_at_us: int


class Rollouts(BaseModel):
    """The content of `rollout.json`."""

    model_config = ConfigDict(frozen=True)

    current: Rollout | None = None
    last: Ended | None = None

    def begun(self, rollout: Rollout) -> "Rollouts":
        return self.model_copy(update={"current": rollout})

    def ended(self, outcome: RolloutOutcome, reason: str, who: str, now_us: int) -> "Rollouts":
        """A state in which the current rollout has become the last one."""
        left = self.current
        if left is None:
            return self
        shown = left.model_dump(include={"mode", "version", "champion", "share_percent"})
        last = Ended(
            **shown,
            outcome=outcome,
            reason=reason,
            who=who,
            began_at_us=left.began_at_us,
            ended_at_us=now_us,
        )
        return Rollouts(current=None, last=last)

    def against(self, serving: str | None) -> Rollout | None:
        """The rollout that is in force while this version serves."""
        rollout = self.current
        return rollout if rollout is not None and rollout.champion == serving else None


class RolloutFile:
    """Reads and replaces the file."""

    def __init__(self, registry_root: Path) -> None:
        self.path = registry_root / "rollout.json"

    def read(self, known: Rollouts) -> Rollouts:
        """Its content; `known` while it cannot be read."""
        try:
            return Rollouts.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return Rollouts()
        except (OSError, ValidationError) as error:
            _log.error("rollout_unreadable", error=str(error)[:500])
            return known

    def write(self, rollouts: Rollouts) -> None:
        write_whole(self.path, rollouts.model_dump_json(indent=2).encode() + b"\n")
