"""`understudy backup` and `understudy restore`."""

from pathlib import Path
from typing import Annotated

import typer

from understudy.backup.archive import BackupManifest
from understudy.terminal import console, second_of


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(backup)
    app.command()(restore)


Archive = Annotated[Path, typer.Argument(help="The archive.", show_default=False)]


def backup(
    target: Annotated[
        # str: Path would drop the final slash, which means a folder
        str,
        typer.Argument(
            help="Where to write the archive: a file that does not exist, or a folder (NAME/).",
            show_default=False,
        ),
    ],
    *,
    keys: Annotated[
        Path | None,
        typer.Option(help="Where to write the keys and tokens, which the archive never holds."),
    ] = None,
) -> None:
    """Back up the instance of the settings while it runs: database, journal, registry, candidates.

    The copy is consistent: it holds every decision that was acknowledged before the printed
    recovery point. Keys go to a file of their own, and only if --keys names one: who has both can
    sign models. docs/operations/backup.md says how to rehearse a restore.

    **Examples**

        understudy backup /backups/

        understudy backup /backups/monday.backup --keys /safe/monday.keys
    """
    from understudy.backup.create import make_backup, place_of  # noqa: PLC0415
    from understudy.backup.places import load_settings  # noqa: PLC0415

    made = make_backup(load_settings(), place_of(target), keys)
    console.print(f"Wrote {made.path} ({_mebibytes(made.path)}).", soft_wrap=True)
    _print(made.manifest)
    if made.keys is None:
        console.print("The keys are not in it; --keys FILE writes them to a file of their own.")
    else:
        console.print(f"Wrote {made.keys}: keep it apart from the archive.", soft_wrap=True)


def restore(
    archive: Archive,
    *,
    keys: Annotated[Path | None, typer.Option(help="The archive of the keys.")] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Move data that is there aside, or replace a server's."),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Check the archive only; change nothing.")
    ] = False,
) -> None:
    """Restore an instance from an archive of `understudy backup`; stop the services first.

    The whole archive is compared with its digests before anything is changed. Data that is there
    is named and stays, unless --force is given.

    **Exit status**: 0 restored, 2 refused, in one sentence; nothing was changed.

    **Examples**

        understudy restore /backups/monday.backup --check

        understudy restore /backups/monday.backup --keys /safe/monday.keys
    """
    from understudy.backup.places import load_settings  # noqa: PLC0415
    from understudy.backup.restore import check_archive  # noqa: PLC0415
    from understudy.backup.restore import restore as put_in_place  # noqa: PLC0415

    if check:
        _print(check_archive(archive))
        console.print("The archive is whole.")
        return
    done = put_in_place(load_settings(), archive, keys, force=force)
    _print(done.manifest)
    if done.aside is not None:
        console.print(f"What was there is in folders named {done.aside}.", soft_wrap=True)
    console.print("Restored. Start the services; decisions of the journal are stored then.")


def _print(manifest: BackupManifest) -> None:
    size = sum(member.size for member in manifest.files)
    console.print(
        f"Recovery point {second_of(manifest.recovery_point)}, live version "
        f"{manifest.live_version or 'none'}, {len(manifest.files)} files, {size / 2**20:,.1f} MiB.",
        soft_wrap=True,
    )


def _mebibytes(path: Path) -> str:
    return f"{path.stat().st_size / 2**20:,.1f} MiB"
