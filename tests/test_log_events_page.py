"""docs/operations/log-events.md lists every event that the code logs."""

import re
from pathlib import Path

from tests.support.log_events import logged_events

PAGE = Path("docs/operations/log-events.md").read_text(encoding="utf-8")
ROWS = [line.split("|")[1:-1] for line in PAGE.splitlines() if line.startswith("| `")]
# Names that a variable holds when they are logged: of the clock, and of repairs of the registry.
HELD_IN_VARIABLES = {
    "clock_doubted", "clock_spike_over", "clock_jump_followed",
    "hand_change", "ledger_rebuilt", "pointer_restored",
}  # fmt: skip


def listed() -> set[str]:
    events = [row for row in ROWS if len(row) == 4]
    return {name for row in events for name in re.findall(r"`(\w+)`", row[0])}


def test_every_event_of_the_code_is_on_the_page() -> None:
    assert logged_events().names - listed() == set()


def test_every_event_of_the_page_is_in_the_code() -> None:
    events = logged_events()
    assert {name for name in listed() if not events.has(name)} <= HELD_IN_VARIABLES


def test_every_event_says_its_level() -> None:
    known = {"debug", "info", "warning", "error"}
    wrong = [row for row in ROWS if len(row) == 4 and not set(row[1].strip().split(", ")) <= known]
    assert wrong == []


def test_an_event_that_the_page_lacks_and_one_that_the_code_lacks_are_found() -> None:
    assert not logged_events().has("no_such_event")
    assert logged_events().has("journal_torn")
    assert logged_events().has("lease_unavailable")
