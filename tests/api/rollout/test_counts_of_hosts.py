"""Counts of a rollout that came through a store: what no host has counted does not count."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from api.rollout.arm_counts import GROUPS, StageCounts, total
from api.rollout.arm_statistics import arm_statistics
from api.rollout.host_counts import HostCounts
from shared.clock import SystemClock
from shared.storage.folder_store import FolderStore

STAGE = "1.0.1-1"
HOSTILE: dict[str, dict[str, Any]] = {
    "fewer rows than none": {"rows": [-(10**6)] + [1] * (GROUPS - 1)},
    "more rows than a float holds": {"rows": [1e308] * GROUPS},
    "more errors than a float holds": {"errors": 2**60},
    "fractions of alerts": {"alerts": [0.5] * GROUPS},
    "time that ran backwards": {"latency_ms": [-1.0] * GROUPS, "timed": [1] * GROUPS},
    "squares beyond all numbers": {"latency_squares": 1e308, "timed": [1] * GROUPS},
    "edges that are no numbers": {"edges": ["nan"] * 10},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_count_is_left_out_and_the_others_add_up(name: str, tmp_path: Path) -> None:
    for folder in ("bucket", "run", "arms"):
        (tmp_path / folder).mkdir()
    store = FolderStore(tmp_path / "bucket")
    good = StageCounts()
    good.candidate.rows[0] = 7
    hostile = good.to_json() | {"candidate": good.candidate.to_json() | HOSTILE[name]}
    for host, counts in (("evil", hostile), ("good", good.to_json())):
        store.write(f"counts/{STAGE}/{host}.json", orjson.dumps(counts))
    HostCounts(store, tmp_path / "run", tmp_path / "arms", SystemClock()).exchange(STAGE)
    arms, champions, candidates = total(tmp_path / "arms", STAGE)
    shown = arm_statistics(arms.candidate, candidates)
    assert (shown.requests, shown.errors, champions) == (7, 0, 0)


def test_counts_that_are_too_large_to_be_those_of_a_host_are_not_read(tmp_path: Path) -> None:
    for folder in ("bucket", "run", "arms"):
        (tmp_path / folder).mkdir()
    store = FolderStore(tmp_path / "bucket")
    store.write(f"counts/{STAGE}/evil.users", b"")
    with (tmp_path / "bucket" / "counts" / STAGE / "evil.users").open("r+b") as file:
        file.truncate(2**40)
    counts = HostCounts(store, tmp_path / "run", tmp_path / "arms", SystemClock())
    counts.exchange(STAGE)
    assert not list((tmp_path / "arms").glob("*evil*"))
