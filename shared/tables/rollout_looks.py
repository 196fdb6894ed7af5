"""The series of looks at a rollout: both arms, and each test against its limit, at every look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, delete, func, insert, select

from shared.clock import MICROS_PER_DAY
from shared.tables.engine import database_errors
from shared.tables.schema import rollout_looks as table

KEPT_US = 400 * MICROS_PER_DAY
"""Looks older than this are removed; one in ten seconds takes about 15 MB a day."""
MOST_LOOKS = 2_000


@dataclass(frozen=True, slots=True)
class StoredLook:
    """One look.

    Attributes:
        began_at_us: when the rollout began that it belongs to.
        arms: candidate and champion: users, requests, errors, means with standard errors.
        tests: name, p_value, the limit it is compared with at this look, and is_rejected.
    """

    version: str
    champion: str
    began_at_us: int
    looked_at_us: int
    mode: str
    share_percent: int
    step: str
    code: str
    reason: str
    arms: Mapping[str, Any]
    tests: Sequence[Mapping[str, Any]]


def write_look(engine: Engine, look: StoredLook) -> None:
    """Store a look, and remove those that are too old.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    values = {
        "version": look.version,
        "champion": look.champion,
        "beganat": look.began_at_us,
        "lookedat": look.looked_at_us,
        "mode": look.mode,
        "sharepercent": look.share_percent,
        "step": look.step,
        "code": look.code,
        "reason": look.reason,
        "arms": dict(look.arms),
        "tests": [dict(one) for one in look.tests],
    }
    old = table.c.lookedat < look.looked_at_us - KEPT_US
    with database_errors("store a look at a rollout"), engine.begin() as connection:
        connection.execute(insert(table).values(values))
        connection.execute(delete(table).where(old))


def read_looks(engine: Engine, version: str, limit: int = MOST_LOOKS) -> list[StoredLook]:
    """The newest looks at a version, in the order of time.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    query = (
        select(*_columns())
        .where(table.c.version == version)
        .order_by(table.c.lookedat.desc(), table.c.lookid.desc())
        .limit(limit)
    )
    with database_errors("read the looks at a rollout"), engine.connect() as connection:
        return [StoredLook(*row) for row in connection.execute(query)][::-1]


def looked_at_versions(engine: Engine, limit: int = 50) -> list[tuple[str, int, int]]:
    """Versions that were on trial, the latest first, each with its looks and the newest instant.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    newest = func.max(table.c.lookedat)
    query = (
        select(table.c.version, func.count(), newest)
        .group_by(table.c.version)
        .order_by(newest.desc())
        .limit(limit)
    )
    with database_errors("list rollouts"), engine.connect() as connection:
        return [(version, count, at) for version, count, at in connection.execute(query)]


def _columns() -> list[Any]:
    return [column for column in table.columns if column.name != "lookid"]
