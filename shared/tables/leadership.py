"""Leadership: duties that one scheduler at a time performs, by a lease on the database's clock.

Each time a duty is taken or extended its holder gets a fencing number greater than all before,
those of runs included, so that receivers can refuse a former holder.
"""

from sqlalchemy import Connection, Engine, delete, func, insert, select

from shared.clock import MICROS_PER_SECOND
from shared.tables.engine import database_errors
from shared.tables.locks import database_now_us, is_held, lock_for_writing
from shared.tables.schema import duties as table
from shared.tables.schema import model_training_runs


def take_leadership(engine: Engine, duty: str, owner: str, seconds: float) -> int | None:
    """Take or extend a duty; None: another scheduler holds it now.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    mine = table.c.duty == duty
    with database_errors("take a duty"), engine.begin() as connection:
        lock_for_writing(connection)
        now_us = database_now_us(connection)
        held = connection.execute(select(table).where(mine)).one_or_none()
        if held is not None and held.leaseowner != owner and is_held(held.leaseuntil, now_us):
            return None
        number = _next_number(connection, now_us)
        row = {
            "duty": duty,
            "leaseowner": owner,
            "leaseuntil": now_us + round(seconds * MICROS_PER_SECOND),
            "fencingnumber": number,
        }
        connection.execute(delete(table).where(mine))
        connection.execute(insert(table).values(row))
    return number


def _next_number(connection: Connection, now_us: int) -> int:
    """The next fencing number: at least the clock, so that a restored database repeats none."""
    columns = (table.c.fencingnumber, model_training_runs.c.fencingnumber)
    newest = max(connection.scalar(select(func.max(column))) or 0 for column in columns)
    return max(newest + 1, now_us // MICROS_PER_SECOND)
