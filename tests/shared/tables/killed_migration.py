"""A process whose migration is killed behind its n-th statement, as this program or an older one.

`python -m tests.shared.tables.killed_migration URL STATEMENTS transactional|autocommit [REVISION]`
"""

import os
import signal
import sys

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event

from shared.tables.engine import MIGRATIONS, connect, migrate


class Killer:
    """Kills its own process when so many statements have been carried out."""

    def __init__(self, statements: int) -> None:
        self._left = statements

    def __call__(self, *_arguments: object) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def upgrade_without_a_transaction(connection: Connection, revision: str) -> None:
    """What this program did before schema changes were in a transaction."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def main(url: str, statements: str, how: str, revision: str = "head") -> None:
    engine = connect(url)
    event.listen(engine, "after_cursor_execute", Killer(int(statements)))
    if how == "transactional":
        migrate(engine)
        return
    with engine.begin() as connection:
        upgrade_without_a_transaction(connection, revision)


if __name__ == "__main__":
    main(*sys.argv[1:])
