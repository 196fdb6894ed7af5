"""A replay in a separate process, to be killed: `python replay_process.py HISTORY WORK`."""

import sys
from pathlib import Path

from scheduler.replay.history import connect_read_only
from scheduler.replay.record import Asked
from scheduler.replay.replay import replay
from tests.scheduler.fakes import NOW_US
from tests.scheduler.replay.chronicle import Chronicle
from tests.support.replay_bench import Notebook, weekly


def main() -> None:
    database, work = sys.argv[1:]
    asked = Asked(
        use_case=Chronicle(training_seconds=0.15),
        history=connect_read_only(f"sqlite:///{database}"),
        spans=weekly(10, 26, "2W"),
        known_us=NOW_US,
        work=Path(work),
        seed=1,
        latency_budget_ms=1_000.0,
    )
    replay(asked, Notebook())


if __name__ == "__main__":
    main()
