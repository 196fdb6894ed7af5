"""`understudy drift`: has the data drifted, and what should I do?"""

from pathlib import Path
from typing import Annotated

import typer

from understudy.commands.options import AsJson

From = Annotated[
    str | None,
    typer.Option(
        "--from", help="From this day or instant on (UTC).", show_default="DRIFT_WINDOW_DAYS ago"
    ),
]
To = Annotated[
    str | None, typer.Option("--to", help="Up to here, not included.", show_default="now")
]
Against = Annotated[
    str | None,
    typer.Option(
        help="Compare with what this version was trained on.", show_default="what the API serves"
    ),
]
PageFile = Annotated[
    Path | None,
    typer.Option("--html", help="Write the page with pictures here.", show_default="no page"),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(drift)


def drift(
    begin: From = None,
    end: To = None,
    against: Against = None,
    html: PageFile = None,
    as_json: AsJson = False,
) -> None:
    """Check now whether live traffic has moved away from what the champion was trained on.

    Compared are the rows the API scored: every feature as it was served, what the rows say in
    words, the champion's scores, and labels that have matured. The baseline is baseline.json
    in the champion's bundle. **An alarm needs both**: significance (adjusted p at most 1 %,
    days that resemble themselves taken into account) and an effect above a floor.

    This only looks. The scheduler does the same once a day (DRIFT_INTERVAL); its alarm starts
    a retraining, at most one in DRIFT_COOLDOWN_DAYS, and promotion stays with the gates.
    docs/operations/drift.md says what every number means.

    **Exit status**: 0 no drift, 1 drift, 2 an error, 3 too little to say.

    **Examples**

        understudy drift

        understudy drift --from 2026-11-01 --to 2026-11-08 --html drift.html

        understudy drift --against 1.0.3 --json | jq .drifted
    """
    from scheduler.settings import load_settings  # noqa: PLC0415 - each command imports its own
    from understudy.drift_question import (  # noqa: PLC0415
        DriftRequest,
        asked_span,
        tell_not_checked,
        too_little,
    )

    request, settings = DriftRequest(begin, end, against, html, as_json=as_json), load_settings()
    span = asked_span(request, settings.drift_window_days)
    reason = too_little(request, settings, span)
    if reason is not None:
        raise typer.Exit(tell_not_checked(reason, as_json=as_json))
    from understudy.drift import check_now  # noqa: PLC0415 - imports what the comparison needs

    raise typer.Exit(check_now(request, settings, span))
