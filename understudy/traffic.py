"""`understudy traffic`: the synthetic world goes on through the API until Ctrl-C."""

import asyncio
import signal
import time

import httpx
from rich.console import Console

from shared.clock import SystemClock
from shared.errors import SettingsError
from shared.keys.tokens import Role, read_token
from simulator.live import Traffic, TrafficPlan, TrafficReport, live_rows
from simulator.world import World
from understudy.settings import Settings

TIMEOUT_SECONDS = 10.0
SECONDS_BETWEEN_LINES = 5.0


def send_traffic(
    settings: Settings,
    console: Console,
    world: World,
    plan: TrafficPlan,
    *,
    crime_share: float,
    amount_factor: float,
) -> TrafficReport:
    """Send until the count is reached or a signal comes; labels still owed are delivered."""
    rows = live_rows(world, SystemClock().now_us(), crime_share, amount_factor)

    async def run() -> TrafficReport:
        client = httpx.AsyncClient(
            base_url=str(settings.api_url), headers=_headers(settings), timeout=TIMEOUT_SECONDS
        )
        async with client:
            traffic = Traffic(client, plan, _Teller(console))
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, traffic.stop)
            return await traffic.run(rows)

    report = asyncio.run(run())
    console.print(_line(report), highlight=False, soft_wrap=True)
    return report


def _headers(settings: Settings) -> dict[str, str]:
    """With SCORING_AUTH=on the scorer's token is needed; without it, it does no harm."""
    try:
        return {"Authorization": f"Bearer {read_token(settings.keys_dir, Role.SCORER)}"}
    except SettingsError:
        return {}


class _Teller:
    """Prints a line now and then, not for every row."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def __call__(self, report: TrafficReport) -> None:
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self._console.print(_line(report), highlight=False, soft_wrap=True)


def _line(report: TrafficReport) -> str:
    versions = ", ".join(f"{name}: {rows:,}" for name, rows in report.versions.items()) or "none"
    problems = "".join(f", {why}: {rows:,}" for why, rows in report.problems.items())
    return (
        f"{report.sent:,} scored (by version {versions}), {report.flagged:,} flagged, "
        f"{report.caught:,} of {report.stolen:,} crimes caught, "
        f"{report.labels:,} labels delivered, {report.failed:,} failed{problems}"
    )
