"""The looks of the scheduler at a rollout, as it wrote them beside the candidate."""

import json
from dataclasses import dataclass
from pathlib import Path

from understudy.terminal import second_of

_FILE = "rollout.jsonl"


@dataclass(frozen=True, slots=True)
class ShownLook:
    """One look that was written down: a step, or the first of each kind of waiting."""

    at: str
    share_percent: int
    step: str
    code: str
    reason: str

    def __str__(self) -> str:
        share = f"{self.share_percent} %" if self.share_percent else "shadow"
        return f"{second_of(self.at)}  {share}  {self.step}, {self.code}: {self.reason}"


def read_looks(folder: Path, version: str) -> list[ShownLook]:
    """Looks in their order; empty if the scheduler's candidates are not on this machine."""
    try:
        lines = (folder / version / _FILE).read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            said = json.loads(line)
            look = ShownLook(
                at=str(said["at"]),
                share_percent=int(said["look"]["share_percent"]),
                step=str(said["step"]),
                code=str(said["code"]),
                reason=str(said["reason"]),
            )
        except (ValueError, KeyError, TypeError):
            continue
        found.append(look)
    return found
