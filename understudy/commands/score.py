"""`understudy score`: a file of any size through the served version."""

from pathlib import Path
from typing import Annotated

import typer

from understudy.settings import load_settings
from understudy.terminal import console


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(score)


def score(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="CSV, Parquet, .gz, .zip, or folders of them.",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[
        Path, typer.Option(help="File for the answers: .csv or .parquet.", show_default=False)
    ],
    mapping: Annotated[
        Path | None,
        typer.Option(
            help="TOML file that maps columns, as for `understudy import`; only for a use case "
            "that is not declared, where columns have other names than /predict.",
            show_default=False,
        ),
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Default: the version that is served.", show_default=False)
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of processes. Default: one for each processor.", show_default=False
        ),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Delete what an earlier start left, and OUT.")
    ] = False,
    record: Annotated[
        bool,
        typer.Option(
            "--record",
            help="Store rows and answers as decisions, too; a declared use case needs row_id.",
        ),
    ] = False,
) -> None:
    """Score files with the served version.

    The signed bundle comes from the API and is verified; rows are scored here, in pieces, and
    recorded as decisions only with --record. The output has a line for each row, in order: `row`
    (its number in its file), `row_id` where the use case has one, the answer, `error` where there
    is none, `version` and the thresholds.

    Rows of a use case with history are scored as if each had come at its own event time, after the
    stored rows and the rows of the files that had come by then. They and the stored history have
    to fit into memory.

    Stop it whenever you like: the same command goes on where it stopped, with the same version.
    What is done is kept in OUT.parts until the output is whole.

    **Exit status**: 0 scored, 1 no row could be scored, 2 nothing was written.

    **Examples**

        USE_CASE=churn understudy score customers.csv --out scores.parquet

        USE_CASE=churn understudy score exports/ --out scores.csv --processes 4

        understudy score march.csv --mapping mapping.toml --out scores.parquet
    """
    from understudy.score_files import ScoreRequest, score_files  # noqa: PLC0415 - imports polars

    request = ScoreRequest(tuple(files), out, mapping, version, processes, restart, record)
    counts = score_files(request, load_settings(), console)
    if counts.rows and counts.errors.total() == counts.rows:
        raise typer.Exit(1)
