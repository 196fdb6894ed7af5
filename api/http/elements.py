"""How much a JSON body holds, counted before anything is parsed.

A parser makes an object of every value, and a validator one of every fault; both cost far more
than the bytes they came in. Commas and opening brackets bound their number, and counting them
takes a few milliseconds for the largest body. Those inside of texts count too: the bounds are
generous enough for that.
"""

from collections.abc import Iterable
from typing import Any

from api.http.problems import INVALID_REQUEST, Problem
from shared.contracts.problems import FieldProblem

# A body this small holds little whatever is in it.
_SMALL_BYTES = 1_024
OF_A_ROW = 256
# Of each row that a batch may have, and on top of them for what is around the rows.
OF_EACH_ROW, OF_AN_ENVELOPE = 64, 64


def check_elements(body: bytes, most: int) -> None:
    """Refuse a body that holds more values than so many, or nests deeper than that.

    Raises:
        Problem: it does.
    """
    if len(body) <= _SMALL_BYTES:
        return
    if body.count(b",") + body.count(b"[") + body.count(b"{") > most:
        told = FieldProblem(
            field="",
            problem=f"it holds more than {most} values",
            remedy="leave out what /docs does not name, or split it over several requests",
        )
        raise Problem(INVALID_REQUEST, f"body: {told.problem}", errors=[told])


def check_members(rows: Iterable[Any], most: int) -> None:
    """Refuse rows of which one has more members than so many, before any is validated.

    Raises:
        Problem: one has.
    """
    for place, row in enumerate(rows):
        if isinstance(row, dict) and len(row) > most:
            told = FieldProblem(
                field=f"instances.{place}",
                problem=f"it has {len(row)} members",
                remedy="leave out what /docs does not name",
            )
            raise Problem(INVALID_REQUEST, f"{told.field}: {told.problem}", errors=[told])
