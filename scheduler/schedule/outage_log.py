"""Says once that something is away and once that it is back, however often it is asked."""

from structlog.typing import FilteringBoundLogger


class OutageLog:
    """The state of one thing this service depends on."""

    def __init__(self, name: str, log: FilteringBoundLogger) -> None:
        self._name = name
        self._log = log
        self._is_away = False

    def away(self, reason: object) -> None:
        if not self._is_away:
            self._is_away = True
            self._log.warning(f"{self._name}_unavailable", reason=str(reason), action="retrying")

    def back(self) -> None:
        if self._is_away:
            self._is_away = False
            self._log.info(f"{self._name}_available_again")
