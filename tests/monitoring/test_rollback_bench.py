"""One bad version and one good one, taken through real processes with shortened durations."""

import json
import subprocess
import sys

import pytest

from tests.support.promtool import tool


@pytest.mark.slow
@pytest.mark.parametrize("case", ["blocking_on_a_first_day", "fix_forward", "hand_change"])
def test_the_way_back_ends_on_the_last_good_version(case: str) -> None:
    tool("prometheus")
    tool("prometheus-alertmanager")
    command = [sys.executable, "-m", "benchmarks.rollback", "--scale", "0.1", "--only", case]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    line = json.loads(done.stdout.splitlines()[-1])
    # How long it takes is for a quiet machine to say.
    ended = {name: figure for name, figure in line["figures"].items() if "seconds" not in name}
    assert set(ended.values()) == {1.0}, done.stderr
