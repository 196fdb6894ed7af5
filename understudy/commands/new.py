"""`understudy new`: from a file and a label column to a declared use case."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from shared.tasks import TaskKind
from understudy.terminal import console


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(new)


From = Annotated[
    list[Path] | None,
    typer.Option("--from", help="CSV, Parquet, .gz, .zip, or a folder of them; may be repeated."),
]
Label = Annotated[
    str, typer.Option(help="The column to predict; 'next_*' for a ranking.", show_default=False)
]
Items = Annotated[
    str | None,
    typer.Option(
        help="Of a ranking: the ratings so far, e.g. 'rating_*'. Default: by their names."
    ),
]
Time = Annotated[str | None, typer.Option(help="The column with the time of a row.")]
NoTime = Annotated[
    bool, typer.Option("--no-time", help="The rows have no order in time: no future is held out.")
]
Entity = Annotated[
    str | None, typer.Option(help="The column whose rows depend on each other, e.g. a customer.")
]
DayFirst = Annotated[
    bool | None, typer.Option("--day-first/--month-first", help="How 05/01/2026 is meant.")
]


class TimeUnit(StrEnum):
    """The unit of a time in numbers; Excel's are days."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    NANOSECONDS = "ns"
    EXCEL = "excel"


def new(
    name: Annotated[str, typer.Argument(help="The name of the use case.", show_default=False)],
    *,
    label: Label,
    files: From = None,
    sql: Annotated[str | None, typer.Option(help="A query instead of files.")] = None,
    database: Annotated[
        str, typer.Option(help="The environment variable with the URL of --sql's database.")
    ] = "SOURCE_DATABASE_URL",
    time: Time = None,
    no_time: NoTime = False,
    task: Annotated[TaskKind | None, typer.Option(help="Default: by the label's values.")] = None,
    entity: Entity = None,
    items: Items = None,
    day_first: DayFirst = None,
    time_format: Annotated[
        str | None, typer.Option(help="How the time is written, e.g. %d.%m.%Y.")
    ] = None,
    time_unit: Annotated[
        TimeUnit | None, typer.Option(help="What a time in numbers counts since 1970.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where the use case's folder goes. Default: usecases.")
    ] = None,
) -> None:
    """Make a use case of a file and a label column: writes usecases/NAME/usecase.toml.

    Guesses what each column is and says why; warns of columns that know the label too well, that
    are known only after it, that are constant or empty. What must not be guessed is asked for.
    Nothing is written where something is missing.

    **Exit status**: 0 written, 2 nothing was written.

    **Examples**

        understudy new churn --from customers.csv --label churned --time as_of

        understudy new iris --from iris.csv --label species --no-time

        understudy new prices --from sales/ --label price --time sold_on --entity house_id

        understudy new films --from ratings.csv --label 'next_*' --items 'rating_*' --time rated_on

        understudy new claims --sql "select * from claims where updated > :since" --label paid
        --time opened_at
    """
    from understudy.proposing import propose_use_case  # noqa: PLC0415 - imports polars and scipy
    from usecases.declared.proposal.request import CannotPropose, NewUseCase  # noqa: PLC0415

    if bool(files) == bool(sql):
        raise CannotPropose("where do the rows come from? Write --from FILE, or --sql QUERY")
    asked = NewUseCase(
        name=name,
        label=label,
        files=tuple(files or ()),
        sql=sql,
        database=database,
        time=time,
        no_time=no_time,
        task=task,
        entity=entity,
        items=items,
        day_first=day_first,
        time_format=time_format,
        time_unit=None if time_unit is None else time_unit.value,
    )
    propose_use_case(asked, folder, console)
