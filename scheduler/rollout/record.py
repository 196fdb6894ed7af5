"""Decisions about rollouts, one line of JSON each, beside the candidate they are about.

Every line holds its look and its policy, so it can be decided again alone: `replay` in
`scheduler.rollout.stage`.
"""

import json
from pathlib import Path

from scheduler.cycle.candidates import ROLLOUT
from scheduler.rollout.stage import StageDecision, decision_to_json
from shared.clock import isoformat
from shared.system.files import append_line, make_folder

NAME = ROLLOUT


class RolloutRecord:
    """Appends to `retrained_models/X.Y.Z/rollout.jsonl`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, decision: StageDecision, now_us: int) -> None:
        """On disk before this returns.

        Raises:
            OSError: it could not be kept.
        """
        folder = self._root / decision.look.version
        make_folder(folder)
        line = {"at": isoformat(now_us), **decision_to_json(decision)}
        append_line(folder / NAME, json.dumps(line, allow_nan=False).encode())
