"""Outages are told once each, and a start that is as it should be warns of nothing."""

from structlog import get_logger
from structlog.testing import capture_logs

from scheduler.schedule.outage_log import OutageLog


class FakeClock:
    """Seconds that pass only when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_starts_beside_us_is_awaited_and_then_warned_of() -> None:
    clock = FakeClock()
    with capture_logs() as logs:
        outage = OutageLog("api", get_logger(), 90.0, clock)
        for clock.now in (1.0, 2.0, 91.0, 92.0):
            outage.away("refused")
        outage.back()
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("api_awaited", "info"),
        ("api_unavailable", "warning"),
        ("api_available_again", "info"),
    ]


def test_what_has_answered_once_is_warned_of_at_once() -> None:
    clock = FakeClock()
    with capture_logs() as logs:
        outage = OutageLog("api", get_logger(), 90.0, clock)
        outage.away("refused")
        outage.back()
        outage.away("refused")
    assert [line["event"] for line in logs] == ["api_awaited", "api_unavailable"]
