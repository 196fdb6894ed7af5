"""`understudy drift`: one check, printed as a table or as JSON; it starts no retraining."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from sqlalchemy import Engine

import usecases
from scheduler.cycle.candidates import CandidateStore
from scheduler.cycle.champion import ServedBundles
from scheduler.drift.alarm import Response, respond
from scheduler.drift.baseline import (
    ChampionBaseline,
    NotChecked,
    baseline_of_champion,
    baseline_of_version,
)
from scheduler.drift.check import ColumnDrift
from scheduler.drift.finding import SHORTEST_SPAN_US, DriftFinding, look
from scheduler.drift.live import DriftWindow
from scheduler.drift.page import render
from scheduler.drift.record import answer, to_json
from scheduler.readiness import scoring_api
from scheduler.report.paper import is_our_page
from scheduler.run_history import read_retrainings
from scheduler.settings import SchedulerSettings
from shared.keys.store import KeyStore
from shared.system.named_files import NamedFile
from shared.tables.engine import connect, migrate
from understudy.drift_question import AskedSpan, DriftRequest, tell_not_checked
from understudy.terminal import DataTable, console, errors, write_json

NO_DRIFT, DRIFT = 0, 1
SHOWN = 15


def check_now(request: DriftRequest, settings: SchedulerSettings, span: AskedSpan) -> int:
    """Check and print; returns the exit status.

    Raises:
        ApiUnavailable: the live version is unknown; --against does not ask.
        DataUnavailable: the database cannot be read.
    """
    engine = connect(settings.database_url.get_secret_value())
    try:
        migrate(engine)
        with _page_file(request.html) as page:
            window = DriftWindow(span.start_us, span.end_us, span.now_us)
            return _look(request, settings, engine, window, page)
    except NotChecked as error:
        return tell_not_checked(str(error), as_json=request.as_json)
    finally:
        engine.dispose()


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
            # an explicit range is used as given
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
