"""Decisions about rollouts: lines of JSON beside the candidate, and every look in the database.

Each line holds its look and its policy, so it can be decided again alone: `replay` in
`scheduler.rollout.stage`. The database has the series of looks, which people see as it grows.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from scheduler.cycle.candidates import ROLLOUT
from scheduler.rollout.stage import StageDecision, decision_to_json, limits_of
from shared.clock import isoformat
from shared.system.files import append_line, make_folder
from shared.tables.rollout_looks import StoredLook

NAME = ROLLOUT


class RolloutRecord:
    """Appends to `retrained_models/X.Y.Z/rollout.jsonl`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, decision: StageDecision, now_us: int) -> None:
        """Writes the record and syncs it to disk before it returns.

        Raises:
            OSError: it could not be kept.
        """
        folder = self._root / decision.look.version
        make_folder(folder)
        line = {"at": isoformat(now_us), **decision_to_json(decision)}
        append_line(folder / NAME, json.dumps(line, allow_nan=False).encode())


KeepLook = Callable[[StoredLook], None]


def keep_no_look(_look: StoredLook) -> None:
    """Looks are not stored."""


def stored_look(decision: StageDecision, began_at_us: int, now_us: int) -> StoredLook:
    """A look with its decision, as the database keeps it."""
    look = decision.look
    arms = {"candidate": asdict(look.candidate), "champion": asdict(look.champion_arm)}
    return StoredLook(
        version=look.version,
        champion=look.champion,
        began_at_us=began_at_us,
        looked_at_us=now_us,
        mode=look.mode,
        share_percent=look.share_percent,
        step=decision.step.value,
        code=decision.code,
        reason=decision.reason,
        arms=arms,
        tests=limits_of(decision),
    )
