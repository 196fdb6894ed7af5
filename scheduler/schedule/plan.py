"""The plan: which interval is in force and which due instant comes next; pure."""

from dataclasses import dataclass, replace

from shared.intervals import Interval, is_due_instant, last_due, next_due


@dataclass(frozen=True, slots=True)
class Plan:
    """What is in force now; `next_us` is None while the schedule is switched off."""

    interval: Interval
    is_enabled: bool
    anchor_us: int
    next_us: int | None

    def same_schedule(self, interval: Interval, anchor_us: int, *, is_enabled: bool) -> bool:
        return (self.interval, self.anchor_us, self.is_enabled) == (
            interval,
            anchor_us,
            is_enabled,
        )


def make_plan(
    interval: Interval,
    anchor_us: int,
    now_us: int,
    *,
    is_enabled: bool,
    promised_us: int | None = None,
) -> Plan:
    """A new plan; the first due instant is the next one on the grid.

    `promised_us` is the NextRun an earlier process wrote down. When it still lies on this
    grid it is kept even if it has passed meanwhile: that run is owed, once.
    """
    next_us = None
    if is_enabled:
        owed = promised_us is not None and is_due_instant(interval, anchor_us, promised_us)
        upcoming = next_due(interval, anchor_us, now_us)
        next_us = min(promised_us, upcoming) if owed and promised_us is not None else upcoming
    return Plan(interval, is_enabled, anchor_us, next_us)


def advance(plan: Plan, now_us: int) -> tuple[Plan, int | None]:
    """The due instant to answer now, if any, and the plan after it.

    Several instants missed during an outage count as one: the latest.
    """
    if plan.next_us is None or plan.next_us > now_us:
        return plan, None
    due_us = last_due(plan.interval, plan.anchor_us, now_us)
    return replace(plan, next_us=next_due(plan.interval, plan.anchor_us, now_us)), due_us
