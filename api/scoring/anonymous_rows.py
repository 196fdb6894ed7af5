"""Limits on the event time of rows that come without credentials.

A caller that could backdate rows would control other users' histories: unusual rows in the past
that make the next one look normal, or that get another user blocked.
"""

from api.http.problems import INVALID_REQUEST, Problem
from api.scoring.stages import Received
from shared.clock import MICROS_PER_HOUR, isoformat
from shared.contracts.http import FieldProblem
from shared.transaction import Transaction

MAX_OFF_US = MICROS_PER_HOUR
_REMEDY = (
    "send a token to date rows otherwise: Authorization: Bearer with the token from "
    "`understudy token scorer`"
)


def judge(received: Received, transaction: Transaction, now_us: int) -> tuple[bool, Problem | None]:
    """True if an anonymous row is quarantined, and the problem if it is refused.

    A row dated more than an hour back or ahead is refused. One that names no instant but an hour of
    the day, as people do who only have that, is scored as it is and quarantined: no other row's
    features see it.
    """
    is_quarantined = not received.caller.is_trusted
    if abs(transaction.event_time_us - now_us) <= MAX_OFF_US:
        return is_quarantined, None
    if getattr(received.request, "event_time", None) is None:
        return True, None
    return is_quarantined, _misdated(transaction.event_time_us, now_us)


def _misdated(event_time_us: int, now_us: int) -> Problem:
    where = "before" if event_time_us < now_us else "after"
    problem = (
        f"{isoformat(event_time_us)} is more than one hour {where} now, {isoformat(now_us)}; "
        "rows without credentials happen now"
    )
    error = FieldProblem(field="event_time", problem=problem, remedy=_REMEDY)
    return Problem(INVALID_REQUEST, f"event_time: {problem}; {_REMEDY}", errors=[error])
