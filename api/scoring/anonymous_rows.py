"""What a row that came without credentials may not do: lie about when it happened.

Whoever may date rows back at will writes other people's past: a history of odd payments that
makes the next one usual, or one of odd ones that blocks a stranger.
"""

from api.http.problems import INVALID_REQUEST, Problem
from api.scoring.row import Row
from shared.clock import MICROS_PER_HOUR, isoformat
from shared.contracts.problems import FieldProblem

MAX_OFF_US = MICROS_PER_HOUR
_REMEDY = (
    "send a token to date rows otherwise: Authorization: Bearer with the token from "
    "`understudy token scorer`"
)


def judge(row: Row) -> None:
    """Refuse an anonymous row that is dated back, or ahead, by more than an hour.

    A row that names no instant but an hour of the day of more than an hour ago, as people do
    who only have that, is scored as it stands and quarantined: it is nobody's past.
    """
    row.is_quarantined = not row.caller.is_trusted
    transaction = row.transaction
    if abs(transaction.event_time_us - transaction.ingested_at_us) <= MAX_OFF_US:
        return
    if getattr(row.request, "event_time", None) is None:
        row.is_quarantined = True
    else:
        row.refusal = _misdated(transaction.event_time_us, transaction.ingested_at_us)


def _misdated(event_time_us: int, now_us: int) -> Problem:
    where = "before" if event_time_us < now_us else "after"
    problem = (
        f"{isoformat(event_time_us)} is more than one hour {where} now, {isoformat(now_us)}; "
        "rows without credentials happen now"
    )
    error = FieldProblem(field="event_time", problem=problem, remedy=_REMEDY)
    return Problem(INVALID_REQUEST, f"event_time: {problem}; {_REMEDY}", errors=[error])
