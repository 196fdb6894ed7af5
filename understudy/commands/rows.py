"""`understudy rows`: find stored rows, correct or remove them, and undo such a change."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from understudy.commands.options import Reason
from understudy.settings import load_settings
from understudy.terminal import console, open_database

if TYPE_CHECKING:
    from shared.tables.row_search import RowFilter

_OPTIONS = {"show_default": False}
Ids = Annotated[
    list[str] | None, typer.Option("--id", help="Id of a row; may be repeated.", **_OPTIONS)
]
User = Annotated[str | None, typer.Option("--user", help="user_id, or the entity.", **_OPTIONS)]
Merchant = Annotated[
    str | None, typer.Option("--merchant", help="merchant_id, where rows have one.", **_OPTIONS)
]
Sender = Annotated[str | None, typer.Option("--sent-by", help="Who sent the row.", **_OPTIONS)]
Import = Annotated[
    int | None, typer.Option("--import", help="The number of the import it came with.", **_OPTIONS)
]
Before = Annotated[
    datetime | None, typer.Option("--before", help="event_time before, UTC.", **_OPTIONS)
]
After = Annotated[
    datetime | None, typer.Option("--after", help="event_time at or after, UTC.", **_OPTIONS)
]
Above = Annotated[
    float | None,
    typer.Option("--amount-above", help="amount above, where rows have one.", **_OPTIONS),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
Limit = Annotated[int, typer.Option(min=1, help="Number of rows shown.")]

rows_app = typer.Typer(
    help="""Find stored rows, correct or remove them, and undo such a change.

    **Examples**

        understudy rows find --before 2000-01-01

        understudy rows changes
    """,
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(rows_app, name="rows")


@rows_app.command()
def find(
    *,
    ids: Ids = None,
    user: User = None,
    merchant: Merchant = None,
    sent_by: Sender = None,
    import_: Import = None,
    before: Before = None,
    after: After = None,
    amount_above: Above = None,
    limit: Limit = 20,
) -> None:
    """Show rows of all logs to which every condition applies, and how many there are.

    **Examples**

        understudy rows find --before 2000-01-01

        understudy rows find --import 7 --limit 100

        understudy rows find --merchant m17 --amount-above 1e6
    """
    from understudy.row_subjects import subject_of  # noqa: PLC0415
    from understudy.rows import show_rows  # noqa: PLC0415

    wanted = _filter(ids, user, merchant, sent_by, import_, before, after, amount_above)
    settings = load_settings()
    with open_database(settings) as engine:
        show_rows(engine, wanted, limit, console, subject_of(settings.use_case))


@rows_app.command()
def remove(
    *,
    reason: Reason,
    ids: Ids = None,
    user: User = None,
    merchant: Merchant = None,
    sent_by: Sender = None,
    import_: Import = None,
    before: Before = None,
    after: After = None,
    amount_above: Above = None,
    yes: Yes = False,
) -> None:
    """Remove rows from the logs. They are kept aside: `understudy rows undo` brings them back.

    **Examples**

        understudy rows remove --before 2000-01-01 --reason "milliseconds taken for seconds"

        understudy rows remove --merchant m17 --after 2026-11-20 --reason "test terminal" --yes
    """
    from understudy.row_subjects import subject_of  # noqa: PLC0415
    from understudy.rows import remove_found  # noqa: PLC0415

    wanted = _filter(ids, user, merchant, sent_by, import_, before, after, amount_above)
    settings = load_settings()
    with open_database(settings) as engine:
        subject = subject_of(settings.use_case)
        remove_found(engine, wanted, reason, console, is_confirmed=yes, subject=subject)


@rows_app.command()
def fix(
    *,
    values: Annotated[
        list[str], typer.Option("--set", help="COLUMN=VALUE; may be repeated.", show_default=False)
    ],
    reason: Reason,
    ids: Ids = None,
    user: User = None,
    merchant: Merchant = None,
    sent_by: Sender = None,
    import_: Import = None,
    before: Before = None,
    after: After = None,
    amount_above: Above = None,
    yes: Yes = False,
) -> None:
    """Set columns of rows. The old values are kept: `understudy rows undo` brings them back.

    Instants are written like 2026-01-05T10:15:00Z; an empty value is null. Labels come with
    `understudy import` or /feedback, which keep what they replace.

    **Examples**

        understudy rows fix --id t17 --set amount=12.50 --reason "cents taken for euros"

        understudy rows fix --import 7 --set currency=USD --reason "the export was in dollars"
    """
    from understudy.row_subjects import subject_of  # noqa: PLC0415
    from understudy.rows import fix_found  # noqa: PLC0415

    wanted = _filter(ids, user, merchant, sent_by, import_, before, after, amount_above)
    settings = load_settings()
    with open_database(settings) as engine:
        subject = subject_of(settings.use_case)
        fix_found(engine, wanted, values, reason, console, is_confirmed=yes, subject=subject)


@rows_app.command()
def changes(limit: Limit = 20) -> None:
    """List imports and other changes of rows, newest first, with the numbers to undo them by.

    **Examples**

        understudy rows changes
    """
    from understudy.rows import show_changes  # noqa: PLC0415

    with open_database(load_settings()) as engine:
        show_changes(engine, limit, console)


@rows_app.command()
def undo(
    number: Annotated[int, typer.Argument(help="The change: see `understudy rows changes`.")],
    reason: Reason,
    yes: Yes = False,
) -> None:
    """Take an import, a fix or a removal back: rows, labels and values are what they were.

    **Examples**

        understudy rows undo 7 --reason "the wrong file"
    """
    from understudy.row_subjects import subject_of  # noqa: PLC0415
    from understudy.rows import undo_change  # noqa: PLC0415

    settings = load_settings()
    with open_database(settings) as engine:
        subject = subject_of(settings.use_case)
        undo_change(engine, number, reason, console, is_confirmed=yes, subject=subject)


def _filter(  # noqa: PLR0917 - one for each option, in their order
    ids: list[str] | None,
    user: str | None,
    merchant: str | None,
    sent_by: str | None,
    import_number: int | None,
    before: datetime | None,
    after: datetime | None,
    amount_above: float | None,
) -> "RowFilter":
    from shared.clock import to_micros  # noqa: PLC0415
    from shared.tables.row_search import RowFilter  # noqa: PLC0415

    return RowFilter(
        transaction_ids=tuple(ids or ()),
        user_id=user,
        merchant_id=merchant,
        sent_by=sent_by,
        import_number=import_number,
        before_us=None if before is None else to_micros(before.replace(tzinfo=UTC)),
        after_us=None if after is None else to_micros(after.replace(tzinfo=UTC)),
        amount_above=amount_above,
    )
