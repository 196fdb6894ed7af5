"""The first model: asked for at once when the API has none, and again, ever more patiently."""

from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from scheduler.schedule.outage_log import STARTING_SECONDS, OutageLog
from scheduler.scoring_api import ApiUnavailable, ScoringApi
from shared.clock import MICROS_PER_SECOND, Clock
from shared.errors import DataUnavailable

REQUESTED_BY = "first_model"
API_AWAY_SECONDS = (1, 2, 4, 8, 15)
SERVED_SECONDS = 30
# pauses after failed attempts: another attempt needs new labels first
RETRY_SECONDS = (30, 60, 300, 900, 3_600)


class FirstModel:
    """Keeps asking the API what it serves; `request` puts a run into the queue."""

    def __init__(
        self,
        api: ScoringApi,
        request: Callable[[int], int],
        is_busy: Callable[[], bool],
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._api = api
        self._request = request
        self._is_busy = is_busy
        self._clock = clock
        self._log = log
        self._outage = OutageLog("api", log, STARTING_SECONDS)
        self._failures = 0
        self._attempts = 0
        self._ask_again_us = 0
        self._pause_us = 0

    def tick(self) -> None:
        if self._is_pausing() or self._is_busy():
            return
        try:
            serving = self._api.current()
        except ApiUnavailable as error:
            self._outage.away(error)
            self._pause(_step(API_AWAY_SECONDS, self._failures))
            self._failures += 1
            return
        self._outage.back()
        self._failures = 0
        if serving is not None:
            self._attempts = 0
            self._pause(SERVED_SECONDS)
            return
        self._ask_for_one()

    def _ask_for_one(self) -> None:
        try:
            run_id = self._request(self._clock.now_us())
        except DataUnavailable:
            # the schedule watcher has logged it already; retried at the next periodic check
            return
        self._log.info("first_model_requested", run_id=run_id, attempt=self._attempts + 1)
        self._pause(_step(RETRY_SECONDS, self._attempts))
        self._attempts += 1

    def _pause(self, seconds: float) -> None:
        self._pause_us = round(seconds * MICROS_PER_SECOND)
        self._ask_again_us = self._clock.now_us() + self._pause_us

    def _is_pausing(self) -> bool:
        """True during the pause, which never lasts longer than planned, whatever the clock does."""
        return 0 < self._ask_again_us - self._clock.now_us() <= self._pause_us


def _step(ladder: tuple[int, ...], times: int) -> int:
    return ladder[min(times, len(ladder) - 1)]
