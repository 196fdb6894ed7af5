"""The columns of a source: those that can be read, and names that are refused."""

from collections.abc import Sequence
from difflib import get_close_matches

from shared.importing.files import SourceTable
from shared.rows.sources import RowSource
from usecases.declared.proposal.request import (
    LONGEST_NAME,
    MOST_COLUMNS,
    CannotPropose,
    NewUseCase,
)


def nested_columns(asked: NewUseCase, sources: Sequence[RowSource]) -> dict[str, str]:
    """Columns of lists and structures, which are not read, with the reason."""
    found: dict[str, str] = {}
    for source in sources:
        found |= source.nested_columns() if isinstance(source, SourceTable) else {}
    for option, name in (
        ("--label", asked.label),
        ("--time", asked.time),
        ("--entity", asked.entity),
    ):
        if name in found:
            raise CannotPropose(f"{option} {name}: {found[name]}; name another column")
    return found


def columns_of(
    asked: NewUseCase, sources: Sequence[RowSource]
) -> tuple[tuple[str, ...], list[str]]:
    """The columns with a name, and a note about those behind them that have none."""
    _refuse_same(asked)
    found = sources[0].column_names()
    last = max((at for at, name in enumerate(found, start=1) if name.strip()), default=0)
    names, notes = found[:last] or found, []
    if 0 < last < len(found):
        which = f"column {last + 1} has" if last + 1 == len(found) else (
            f"columns {last + 1} to {len(found)} have"
        )  # fmt: skip
        notes.append(f"{which} no name, as behind a delimiter at the end of lines: left out")
    if not names:
        raise CannotPropose(
            f"{sources[0].name} is empty: its first line has to hold the names of the columns"
        )
    _refuse_names(names, sources[0].name)
    for source in sources[1:]:
        missing = [name for name in names if name not in source.column_names()]
        if missing:
            raise CannotPropose(
                f"{source.name} has no column {missing[0]!r}, which {sources[0].name} has: bring "
                "files with the same columns"
            )
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise CannotPropose(
            f"{sources[0].name}: column {twice[0]!r} is there {names.count(twice[0])} times: "
            "rename all but one"
        )
    if len(names) > MOST_COLUMNS:
        raise CannotPropose(
            f"{sources[0].name} has {len(names):,} columns, a table takes {MOST_COLUMNS:,}: leave "
            "columns out, or select those that count with --sql"
        )
    _refuse_missing(asked, names, sources[0].name)
    return names, [*notes, *_only_elsewhere(names, sources)]


def _only_elsewhere(names: Sequence[str], sources: Sequence[RowSource]) -> list[str]:
    """A note about the first file with columns that the first of all files lacks."""
    for source in sources[1:]:
        more = [name for name in source.column_names() if name.strip() and name not in names]
        if more:
            shown = ", ".join(map(repr, more[:5])) + (", ..." if len(more) > 5 else "")
            return [f"{source.name} has columns that {sources[0].name} lacks, {shown}: left out"]
    return []


def _refuse_same(asked: NewUseCase) -> None:
    """Refuse one column for two roles."""
    roles = (("--label", asked.label), ("--time", asked.time), ("--entity", asked.entity))
    for at, (option, name) in enumerate(roles):
        for other, named in roles[:at]:
            if name is not None and name == named:
                raise CannotPropose(
                    f"{other} {name} and {option} {name} are one column: name another, or leave "
                    f"{option} out"
                )


def _refuse_names(names: Sequence[str], source: str) -> None:
    for place, name in enumerate(names, start=1):
        if not name.strip():
            raise CannotPropose(
                f"{source}: column {place} has no name: name it, or leave it out (pandas writes "
                "its index so; to_csv(index=False) does not)"
            )
        if len(name) > LONGEST_NAME:
            raise CannotPropose(
                f"{source}: column {place} has a name of {len(name):,} characters, "
                f"{name[:40]!r} and so on: shorten it to at most {LONGEST_NAME}"
            )


def _not_there(option: str, name: str, names: Sequence[str], source: str) -> str:
    close = get_close_matches(name, names, 1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"{option} {name}: {source} has no such column{hint} It has {shown}"


def _refuse_missing(asked: NewUseCase, names: Sequence[str], source: str) -> None:
    wanted = {"--label": asked.label, "--time": asked.time, "--entity": asked.entity}
    for option, name in wanted.items():
        if name is not None and not name.endswith("*") and name not in names:
            raise CannotPropose(_not_there(option, name, names, source))
