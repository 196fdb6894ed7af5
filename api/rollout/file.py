"""`rollout.json` in the registry: read by every worker, replaced as a whole under its lock."""

from pathlib import Path

import structlog
from pydantic import ValidationError

from api.rollout.state import Rollouts
from shared.system.files import write_whole

_log = structlog.get_logger()


class RolloutFile:
    """The one file."""

    def __init__(self, registry_root: Path) -> None:
        self.path = registry_root / "rollout.json"

    def read(self, known: Rollouts) -> Rollouts:
        """What it says; `known` is still so while it cannot be read."""
        try:
            return Rollouts.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return Rollouts()
        except (OSError, ValidationError) as error:
            _log.error("rollout_unreadable", error=str(error)[:500])
            return known

    def write(self, rollouts: Rollouts) -> None:
        write_whole(self.path, rollouts.model_dump_json(indent=2).encode() + b"\n")
