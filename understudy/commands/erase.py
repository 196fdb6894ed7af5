"""`understudy erase`: everything that is stored of one entity goes."""

from typing import Annotated

import typer

from shared.errors import SettingsError
from understudy.commands.options import Reason
from understudy.settings import load_settings
from understudy.terminal import console, open_database


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(erase)


def erase(
    *,
    entity: Annotated[
        str, typer.Option(help="The user, or what a declaration calls entity.", show_default=False)
    ],
    reason: Reason,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Erase what is stored of one entity: rows, labels, decisions, archives, held-out sets.

    It cannot be undone, and also takes what was kept to undo earlier changes. A line in
    `understudy rows changes` says who erased, when, why and how many rows, with a digest of
    the name instead of the name. A running API forgets the entity's rows within a second.

    **Examples**

        understudy erase --entity u17 --reason "request 2026-114, article 17"

        understudy erase --entity u17 --reason "request 2026-114" --yes
    """
    try:
        from scheduler.settings import load_settings as scheduler_settings  # noqa: PLC0415
        from understudy.erase import erase as erase_all  # noqa: PLC0415
        from understudy.erase import print_erased  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(
            "the scheduler's container has the files too: `docker compose exec scheduler "
            "understudy erase ...`"
        ) from error
    if not yes:
        console.print(f"Everything stored of {entity!r} is deleted for ever.", markup=False)
        typer.confirm("Erase it?", abort=True)
    with open_database(load_settings()) as engine:
        print_erased(console, entity, erase_all(engine, scheduler_settings(), entity, reason))
