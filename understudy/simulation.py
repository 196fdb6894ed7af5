"""Simulated rows: the past of an empty database, and customers who come through the API."""

import asyncio
import signal
import time
from dataclasses import dataclass

import httpx
import structlog
from rich.console import Console
from sqlalchemy import Engine

from shared.clock import MICROS_PER_DAY, MICROS_PER_SECOND, SystemClock, isoformat
from shared.errors import SettingsError
from shared.keys.tokens import Role, read_token, token_path
from simulator.live import LiveRow, Traffic, TrafficPlan, TrafficReport, live_rows
from simulator.seeding import is_empty, seed
from simulator.world import build_world
from understudy.settings import CommandSettings
from understudy.terminal import shown

# Enough for windows of 30 days, and for usual devices and journeys.
PAST_DAYS = 60
# Future rows, sent in real time if the command keeps running.
FUTURE_DAYS = 7
TIMEOUT_SECONDS = 10.0
SECONDS_BETWEEN_LINES = 5.0


def seed_if_empty(engine: Engine, *, customers: int, days: int, seed_number: int) -> int:
    """Write the past of a world up to now; 0 rows when there is data already.

    Raises:
        DataUnavailable: the database cannot be read or written.
    """
    log = structlog.get_logger()
    if not is_empty(engine):
        log.info("seeding_skipped", reason="the database has transactions")
        return 0
    log.info("seeding", customers=customers, days=days, seed=seed_number)
    started = time.monotonic()
    world = build_world(seed=seed_number, customers=customers)
    with shown("simulating") as advance:
        rows = seed(engine, world, SystemClock().now_us(), advance, days=days)
    log.info("seeded", rows=rows, duration_seconds=round(time.monotonic() - started, 1))
    return rows


@dataclass(frozen=True, slots=True)
class NewCustomers:
    """Customers without history, and with ids that no other customer has.

    Attributes:
        days: days ago that the simulated clock begins.
        amount_factor: from there on.
    """

    seed: int
    customers: int
    days: int
    crime_share: float
    amount_factor: float

    def rows(self, present_us: int) -> tuple[list[LiveRow], list[LiveRow]]:
        """Their past before the clock begins, and what happens from there on."""
        # the same merchants as in the seeded data
        world = build_world(self.seed, customers=self.customers)
        begin_us = present_us - self.days * MICROS_PER_DAY

        def factor(at_us: int) -> float:
            return 1.0 if at_us < begin_us else self.amount_factor

        rows = live_rows(
            world,
            begin_us - PAST_DAYS * MICROS_PER_DAY,
            present_us + FUTURE_DAYS * MICROS_PER_DAY,
            crime_share=self.crime_share,
            amount_factor=factor,
            prefix=f"n{present_us // MICROS_PER_SECOND:x}-",
        )
        past = [row for row in rows if row.time_us < begin_us]
        return past, rows[len(past) :]


def send_traffic(
    settings: CommandSettings, console: Console, who: NewCustomers, plan: TrafficPlan
) -> TrafficReport:
    """Send until the count is reached or a signal comes; labels known by then are delivered."""
    scorer, feedback = _bearer(settings, Role.SCORER), _bearer(settings, Role.FEEDBACK)
    for role, found in ((Role.SCORER, scorer), (Role.FEEDBACK, feedback)):
        if not found:
            console.print(_no_token(settings, role), highlight=False, soft_wrap=True)
    past, rows = who.rows(SystemClock().now_us())

    async def run() -> TrafficReport:
        async with _client(settings, scorer) as client, _client(settings, feedback) as labels:
            traffic = Traffic(client, plan, _Teller(console), labels)
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, traffic.stop)
            console.print(
                f"sending the past of {who.customers} new customers: {len(past):,} rows",
                highlight=False,
            )
            await traffic.remember(past)
            return await traffic.run(rows)

    report = asyncio.run(run())
    console.print(_line(report), highlight=False, soft_wrap=True)
    return report


def _no_token(settings: CommandSettings, role: Role) -> str:
    where = token_path(settings.keys_dir, role)
    what = "the labels" if role is Role.FEEDBACK else "rows of another time than now"
    return f"no token at {where}: the API will refuse {what}; set KEYS_DIR to its keys"


def _client(settings: CommandSettings, headers: dict[str, str]) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=str(settings.api_url), headers=headers, timeout=TIMEOUT_SECONDS
    )


def _bearer(settings: CommandSettings, role: Role) -> dict[str, str]:
    """The authorization header; none without a token: scoring may be open, labels never are."""
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
    clock = f"{isoformat(report.clock_us)[:16]}Z: " if report.clock_us else ""
    return (
        f"{clock}{report.sent:,} scored (by version {versions}), {report.flagged:,} flagged "
        f"({report.flagged_share:.1%}), "
        f"{report.caught:,} of {report.stolen:,} crimes caught, "
        f"{report.labels:,} labels delivered, {report.failed:,} failed{problems}"
    )
