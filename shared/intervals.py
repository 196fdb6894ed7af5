"""Due instants of a job by an interval such as `1W`.

The instants of an interval are independent of the time of the call, so a restart, a slow run or
a missed tick never moves the schedule, and two schedulers agree on every due instant.
"""

from dataclasses import dataclass, field

from shared.schedules.grammar import parse_rule
from shared.schedules.walltime import ScheduleRule


@dataclass(frozen=True, slots=True)
class Interval:
    """A schedule's text with normalised spaces, and its rule."""

    text: str = field(compare=False)
    rule: ScheduleRule

    @classmethod
    def parse(cls, text: str) -> "Interval":
        """Read one of the forms of `shared.schedules.grammar.FORMS`.

        Raises:
            ValueError: the text is anything else.
        """
        rule = parse_rule(text)
        return cls(" ".join(text.split()), rule)


def next_due(interval: Interval, anchor_us: int, after_us: int) -> int:
    """The first due instant strictly later than `after_us`."""
    return interval.rule.next_due(anchor_us, after_us)
