"""The plan of a replay: which instants are due, and which time each of them answers for; pure."""

from dataclasses import dataclass

from shared.clock import isoformat
from shared.errors import UnderstudyError
from shared.intervals import Interval, next_due

MAX_ROUNDS = 2_000


class ReplayImpossible(UnderstudyError):
    """Raised when there is nothing to replay; says what to ask for instead."""


@dataclass(frozen=True, slots=True)
class ReplaySpan:
    """One round: at `as_of_us` the version that serves in [as_of_us, until_us) is chosen."""

    number: int
    as_of_us: int
    until_us: int


def plan_spans(
    interval: Interval, from_us: int, to_us: int, most: int = MAX_ROUNDS
) -> tuple[ReplaySpan, ...]:
    """Every due instant from one instant to another, both included.

    An interval such as `1W` is counted from `from_us`; a cron expression has its own instants.

    Raises:
        ReplayImpossible: no instant is due in that time, or far too many are.
    """
    if to_us < from_us:
        raise ReplayImpossible(
            f"the range is empty: it begins at {isoformat(from_us)} and ends at {isoformat(to_us)}"
        )
    spans: list[ReplaySpan] = []
    due = next_due(interval, from_us, from_us - 1)
    while due <= to_us:
        if len(spans) == most:
            raise ReplayImpossible(
                f"more than {most} rounds: choose a longer interval or a shorter range"
            )
        after = next_due(interval, from_us, due)
        spans.append(ReplaySpan(len(spans) + 1, due, after))
        due = after
    if not spans:
        raise ReplayImpossible(
            f"the range is empty: {interval.text} is not due between {isoformat(from_us)} "
            f"and {isoformat(to_us)}"
        )
    return tuple(spans)
