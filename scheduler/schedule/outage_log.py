"""Says once that something is away and once that it is back, however often it is asked."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from structlog.typing import FilteringBoundLogger

STARTING_SECONDS = 90.0
"""An API that was started with the scheduler answers within this time, also where it compiles."""


class OutageLog:
    """The state of one thing this service depends on.

    With `starting_seconds`, something that has never answered is only awaited for so long: both
    services start at once, and a start that is as it should be warns of nothing.
    """

    def __init__(
        self,
        name: str,
        log: FilteringBoundLogger,
        starting_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._log = log
        self._clock = clock
        self._starts_until = clock() + starting_seconds
        self._is_awaited = self._is_away = self._has_answered = False

    @contextmanager
    def told(self, *errors: type[Exception]) -> Iterator[None]:
        """Around one attempt: an error of these kinds means that it is away, else it is back."""
        try:
            yield
        except errors as error:
            self.away(error)
        else:
            self.back()

    def away(self, reason: object) -> None:
        if self._is_away:
            return
        if not self._has_answered and self._clock() < self._starts_until:
            if not self._is_awaited:
                self._is_awaited = True
                self._log.info(f"{self._name}_awaited", action="retrying")
            return
        self._is_away = True
        self._log.warning(f"{self._name}_unavailable", reason=str(reason), action="retrying")

    def back(self) -> None:
        self._has_answered = True
        if self._is_away:
            self._is_away = False
            self._log.info(f"{self._name}_available_again")
