"""Looks for events every few seconds, and delivers what waits; one scheduler at a time."""

from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.notify.events import Events, wanted
from scheduler.notify.webhook import NotDelivered, NotificationWebhook
from scheduler.schedule.outage_log import OutageLog
from scheduler.scoring_api import ApiUnavailable
from shared.clock import MICROS_PER_SECOND, Clock
from shared.errors import DataUnavailable
from shared.tables.notifications import (
    Event,
    Notification,
    Waiting,
    add,
    begin,
    due,
    known_sources,
    mark_failed,
    mark_sent,
)

LEADERSHIP = "notifications"
FIRST_PAUSE_SECONDS = 10
LONGEST_PAUSE_SECONDS = 3_600
AT_ONCE = 20


class Lease(Protocol):
    """The right to notify."""

    def take(self) -> int | None: ...


@dataclass(slots=True)
class Notifier:
    """`tick` never raises; nothing waits for it.

    Attributes:
        give_up_seconds: a notification that could not be delivered for so long is given up.
    """

    engine: Engine
    events: Events
    webhook: NotificationWebhook
    lease: Lease
    clock: Clock
    log: FilteringBoundLogger
    chosen: frozenset[Event]
    give_up_seconds: float
    _database: OutageLog = field(init=False)
    _trail: OutageLog = field(init=False)
    _receiver: OutageLog = field(init=False)

    def __post_init__(self) -> None:
        self._database = OutageLog("notifications", self.log)
        self._trail = OutageLog("notifications_trail", self.log)
        self._receiver = OutageLog("notification_receiver", self.log)

    def tick(self) -> None:
        try:
            if self.lease.take() is None:
                return  # another scheduler notifies
            self._find()
            self._deliver()
        except DataUnavailable as error:
            self._database.away(error)
        else:
            self._database.back()

    def _find(self) -> None:
        now_us = self.clock.now_us()
        since_us = begin(self.engine, now_us)
        found = self.events.recorded(since_us, now_us)
        try:
            found += self.events.of_trail(since_us)
        except ApiUnavailable as error:
            self._trail.away(error)
        else:
            self._trail.back()
        self._add(list(wanted(found, self.chosen)))

    def _add(self, found: list[Notification]) -> None:
        known = known_sources(self.engine, [one.source for one in found])
        add(self.engine, [one for one in found if one.source not in known])

    def _deliver(self) -> None:
        for waiting in due(self.engine, self.clock.now_us(), AT_ONCE):
            try:
                self.webhook.deliver({"id": waiting.number, **waiting.notification.body})
            except NotDelivered as error:
                self._failed(waiting, error)
                if error.is_away:
                    self._receiver.away(error)
                    return
                continue
            self._receiver.back()
            mark_sent(self.engine, waiting.number, self.clock.now_us())
            self.log.info("notified", event_kind=waiting.notification.event, number=waiting.number)

    def _failed(self, waiting: Waiting, error: NotDelivered) -> None:
        now_us = self.clock.now_us()
        pause_seconds = min(FIRST_PAUSE_SECONDS * 2**waiting.attempts, LONGEST_PAUSE_SECONDS)
        age_seconds = (now_us - waiting.notification.happened_at_us) / MICROS_PER_SECOND
        gives_up = age_seconds > self.give_up_seconds
        mark_failed(
            self.engine,
            waiting.number,
            str(error),
            now_us + pause_seconds * MICROS_PER_SECOND,
            gives_up=gives_up,
        )
        if gives_up:
            self.log.error(
                "notification_given_up",
                event_kind=waiting.notification.event,
                number=waiting.number,
                attempts=waiting.attempts + 1,
                reason=str(error),
            )
