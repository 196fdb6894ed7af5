"""`understudy traffic`: the synthetic world goes on through the API until Ctrl-C."""

import asyncio
import signal
import time

import httpx
from rich.console import Console

from shared.clock import SystemClock
from shared.errors import SettingsError
from shared.keys.tokens import Role, read_token, token_path
from simulator.live import Traffic, TrafficPlan, TrafficReport, live_rows
from simulator.world import World
from understudy.settings import CommandSettings

TIMEOUT_SECONDS = 10.0
SECONDS_BETWEEN_LINES = 5.0


def send_traffic(
    settings: CommandSettings,
    console: Console,
    world: World,
    plan: TrafficPlan,
    *,
    crime_share: float,
    amount_factor: float,
) -> TrafficReport:
    """Send until the count is reached or a signal comes; labels still owed are delivered."""
    scorer, feedback = _bearer(settings, Role.SCORER), _bearer(settings, Role.FEEDBACK)
    if not feedback:
        where = token_path(settings.keys_dir, Role.FEEDBACK)
        warning = f"no token at {where}: the API will refuse the labels; set KEYS_DIR to its keys"
        console.print(warning, highlight=False, soft_wrap=True)
    rows = live_rows(world, SystemClock().now_us(), crime_share, amount_factor)

    async def run() -> TrafficReport:
        async with _client(settings, scorer) as client, _client(settings, feedback) as labels:
            traffic = Traffic(client, plan, _Teller(console), labels)
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, traffic.stop)
            return await traffic.run(rows)

    report = asyncio.run(run())
    console.print(_line(report), highlight=False, soft_wrap=True)
    return report


def _client(settings: CommandSettings, headers: dict[str, str]) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=str(settings.api_url), headers=headers, timeout=TIMEOUT_SECONDS
    )


def _bearer(settings: CommandSettings, role: Role) -> dict[str, str]:
    """No header where there is no token: scoring may be open, labels never are."""
    try:
        return {"Authorization": f"Bearer {read_token(settings.keys_dir, role)}"}
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
