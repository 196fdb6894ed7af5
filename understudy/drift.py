"""`understudy drift`: one check, printed as a table or as JSON; it starts no retraining."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

import usecases
from scheduler.cycle.candidates import CandidateStore
from scheduler.cycle.served_bundle import ServedBundles
from scheduler.drift.alarm import Response, respond
from scheduler.drift.champion_baseline import (
    ChampionBaseline,
    NotChecked,
    baseline_of_champion,
    baseline_of_version,
)
from scheduler.drift.check import ColumnDrift
from scheduler.drift.finding import SHORTEST_SPAN_US, DriftFinding, look
from scheduler.drift.live import DriftWindow
from scheduler.drift.page.page import render
from scheduler.drift.record import to_json
from scheduler.drift.sentence import answer
from scheduler.drift.stored import read_retrainings
from scheduler.readiness import scoring_api
from scheduler.report.paper import is_our_page
from scheduler.settings import SchedulerSettings, load_settings
from shared.clock import MICROS_PER_DAY, SystemClock, to_micros
from shared.errors import UnderstudyError
from shared.keys.store import KeyStore
from shared.system.named_files import NamedFile
from shared.tables.engine import connect, migrate
from understudy.terminal import DataTable, console, errors, write_json

NO_DRIFT, DRIFT, NOT_CHECKED = 0, 1, 3
SHOWN = 15


class DriftQuestionUnclear(UnderstudyError):
    """Raised when what was typed makes no sense."""


@dataclass(frozen=True, slots=True)
class DriftRequest:
    """The options as they were typed."""

    begin: str | None
    end: str | None
    against: str | None
    html: Path | None
    as_json: bool


def check_now(request: DriftRequest) -> int:
    """Check and print; returns the exit status.

    Raises:
        DriftQuestionUnclear: --from or --to is no instant, or they are the wrong way round.
        ApiUnavailable: the live version is unknown; --against does not ask.
        DataUnavailable: the database cannot be read.
    """
    settings = load_settings()
    engine = connect(settings.database_url.get_secret_value())
    try:
        migrate(engine)
        return _check(request, settings, engine)
    except NotChecked as error:
        _tell_not_checked(str(error), as_json=request.as_json)
        return NOT_CHECKED
    finally:
        engine.dispose()


def _check(request: DriftRequest, settings: SchedulerSettings, engine: Engine) -> int:
    now_us = SystemClock().now_us()
    window = _window(request, now_us, settings.drift_window_days)
    with _page_file(request.html) as page:
        return _look(request, settings, engine, window, page)


def _look(
    request: DriftRequest,
    settings: SchedulerSettings,
    engine: Engine,
    window: DriftWindow,
    page: NamedFile | None,
) -> int:
    use_case = usecases.load_learning(settings.use_case)
    champion = _baseline(request, settings)
    with errors.status(f"comparing with {champion.manifest.version}"):
        finding = look(
            engine,
            use_case,
            champion,
            window,
            # days given explicitly are used as they are
            shortest_span_us=SHORTEST_SPAN_US if request.begin is None else 0,
        )
        known = read_retrainings(engine)
    response = respond(finding.report, window.as_of_us, known, settings.drift_cooldown_days)
    sentence = answer(finding, response)
    if page is not None:
        page.text.write(render(use_case.name, finding, sentence))
    if request.as_json:
        write_json({**to_json(finding), "answer": sentence, "checked": True})
    else:
        _print(finding, response, sentence)
        if request.html is not None:
            console.print(f"page: {request.html}", highlight=False, soft_wrap=True)
    return DRIFT if finding.report.drifted else NO_DRIFT


def _page_file(path: Path | None) -> AbstractContextManager[NamedFile | None]:
    """The place of the page, tried before anything is compared."""
    return nullcontext() if path is None else NamedFile(path, "--html", is_our_page)


def _baseline(request: DriftRequest, settings: SchedulerSettings) -> ChampionBaseline:
    candidates = CandidateStore(settings.retrained_models_dir, settings.candidates_kept)
    if request.against is not None:
        return baseline_of_version(candidates, request.against)
    trusted = KeyStore(settings.keys_dir).accepted_keys
    return baseline_of_champion(ServedBundles(scoring_api(settings), candidates, trusted))


def _window(request: DriftRequest, now_us: int, days: float) -> DriftWindow:
    end_us = now_us if request.end is None else _instant("--to", request.end)
    start_us = end_us - round(days * MICROS_PER_DAY)
    if request.begin is not None:
        start_us = _instant("--from", request.begin)
    if start_us >= end_us:
        raise DriftQuestionUnclear("--from has to be earlier than --to")
    return DriftWindow(start_us, end_us, now_us)


def _instant(option: str, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise DriftQuestionUnclear(
            f"{option}: {text!r} is no day or instant like 2026-11-01 or 2026-11-01T12:00:00Z"
        ) from error
    return to_micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _print(finding: DriftFinding, response: Response, sentence: str) -> None:
    report = finding.report
    style = "bold red" if report.drifted else "bold green"
    console.print(sentence, style=style, highlight=False, soft_wrap=True)
    shown = report.columns[: max(SHOWN, len(report.alarms))]
    console.print(_table(shown))
    notes = [f"not checked: {name}: {reason}" for name, reason in report.skipped.items()]
    if len(shown) < len(report.columns):
        notes.insert(0, f"and {len(report.columns) - len(shown)} more columns that moved less")
    notes += [*_warning(finding), *_next_step(response)]
    for note in notes:
        console.print(note, style="dim", highlight=False, soft_wrap=True)


def _table(drifts: Sequence[ColumnDrift]) -> DataTable:
    table = DataTable("column", "kind", "verdict", "effect", "matters from", "adjusted p", "rows")
    for column in table.columns[3:]:
        column.justify = "right"
    for drift in drifts:
        table.add_row(*_cells(drift), style="red" if drift.alarm else None)
    return table


def _warning(finding: DriftFinding) -> list[str]:
    expected, held_out = finding.expectation.expected, finding.expectation.held_out
    if expected is None:
        return []
    return [
        f"average precision estimated without labels: {expected.average_precision.mean:.3f} "
        f"(on the held-out rows it was {held_out.average_precision:.3f}); "
        "an early warning, no gate asks for it"
    ]


def _next_step(response: Response) -> list[str]:
    if not response.starts_run:
        return []
    return [
        "the scheduler's next check would ask for a retraining; to have one now: understudy retrain"
    ]


def _cells(drift: ColumnDrift) -> tuple[str, ...]:
    return (
        drift.name,
        str(drift.kind),
        "moved" if drift.alarm else "as before",
        f"{drift.effect:.3f}",
        f"{drift.floor:.3f}",
        f"{drift.p_adjusted:.2g}",
        f"{drift.rows:,}",
    )


def _tell_not_checked(reason: str, *, as_json: bool) -> None:
    if as_json:
        write_json({"alarm": None, "checked": False, "reason": reason})
    else:
        console.print(f"Not known: {reason}.", style="yellow", highlight=False, soft_wrap=True)
