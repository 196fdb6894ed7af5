"""`python -m tests.api.power_child FOLDER FSYNC`: drains a part of a journal, and waits."""

import sys
import time
from pathlib import Path

from api.journal.journal import Journal
from api.journal.sink import DatabaseSink
from api.journal.writer import InProcessWriter
from shared.tables.engine import connect
from tests.support.journals import row


def main() -> None:
    folder, fsync = Path(sys.argv[1]), sys.argv[2] == "true"
    journal = Journal(folder / "journal", 64 * 1024, fsync=fsync)
    journal.open()
    sink = DatabaseSink(connect(f"sqlite:///{folder / 'understudy.db'}"))
    sink.prepare()
    writer = InProcessWriter(folder / "journal", sink, batch=5)
    journal.append([row(f"drained-{number}") for number in range(20)])
    while (span := journal.undrained()) is not None:
        written = writer.write_batch(*span)
        journal.release(written.position, written.count, written.damage)
    for number in range(20):
        journal.append([row(f"waiting-{number}")])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    time.sleep(600)


if __name__ == "__main__":
    main()
