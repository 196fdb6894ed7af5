"""Looks for events every few seconds, and delivers what waits; one scheduler at a time.

A delivery is one HTTP request, within a limit of time that covers everything.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
from pydantic import SecretStr
from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.notable_events import Events, wanted
from scheduler.schedule.outage_log import OutageLog
from scheduler.scoring_api import ApiUnavailable
from shared.clock import MICROS_PER_SECOND, Clock
from shared.errors import DataUnavailable, UnderstudyError
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
_SHOWN = 200


class NotDelivered(UnderstudyError):
    """Raised when the receiver does not take it; never repeats the address, which is a secret.

    Attributes:
        is_away: it does not answer at all, so that others need not be tried now.
    """

    def __init__(self, why: str, *, is_away: bool) -> None:
        super().__init__(why)
        self.is_away = is_away


class NotificationWebhook:
    """The receiver at NOTIFY_URL."""

    def __init__(self, url: SecretStr, timeout_seconds: float) -> None:
        self._url = url
        self._timeout_seconds = timeout_seconds

    def deliver(self, body: Mapping[str, Any]) -> None:
        """POST it as JSON; any 2xx is a delivery.

        Raises:
            NotDelivered: says why, without the address.
        """
        # One timeout for connect, send and response: with a timeout for each, a receiver that
        # sends a byte a minute would never exceed one.
        try:
            status = asyncio.run(asyncio.wait_for(self._post(body), self._timeout_seconds))
        except TimeoutError as error:
            why = f"no answer within {self._timeout_seconds:g} s"
            raise NotDelivered(why, is_away=True) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise NotDelivered(self._masked(error), is_away=True) from error
        if not 200 <= status < 300:
            raise NotDelivered(f"the receiver answered {status}", is_away=status >= 500)

    async def _post(self, body: Mapping[str, Any]) -> int:
        async with (
            httpx.AsyncClient(timeout=self._timeout_seconds, follow_redirects=False) as client,
            client.stream("POST", self._url.get_secret_value(), json=dict(body)) as answer,
        ):
            # the status is enough: the body is not read
            return answer.status_code

    def _masked(self, error: Exception) -> str:
        """The error without any part of the address but its host."""
        text = str(error).replace(self._url.get_secret_value(), "NOTIFY_URL")
        path = httpx.URL(self._url.get_secret_value()).raw_path.decode(errors="replace")
        if len(path) > 1:
            text = text.replace(path, "/...")
        return f"{type(error).__name__}: {text}"[:_SHOWN]


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
