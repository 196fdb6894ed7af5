"""The columns of a source: names that are refused, nested ones, and the items of a ranking."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from shared.importing.files import SourceTable
from shared.rows.schema import Kind
from shared.rows.sources import RowSource
from shared.tasks import TaskKind
from usecases.declared.proposal.kinds import ColumnGuess
from usecases.declared.proposal.request import LONGEST_NAME, MOST_COLUMNS, CannotPropose, NewUseCase

FEEDBACK_ONLY = (
    "no column says what was rated next, so labels come by /feedback only: name such columns with "
    "--label 'next_*' --items 'rating_*'"
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


@dataclass(frozen=True, slots=True)
class Items:
    """The columns of the source of each item.

    Attributes:
        rated: the ratings so far.
        labels: the ratings that followed, in the same order; empty: not in the source.
    """

    rated: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


def find_items(asked: NewUseCase, columns: Sequence[str]) -> Items:
    """The columns of a ranking; none for another task.

    Raises:
        CannotPropose: fewer than two, or the ratings so far may be in several groups of columns.
    """
    if not asked.label.endswith("*"):
        if asked.task is TaskKind.RANKING or asked.items is not None:
            raise CannotPropose(
                "--task ranking needs the columns of its items: write --label 'rating_*'"
            )
        return Items()
    labels = _matching("--label", asked.label, columns)
    items = asked.items or _items_beside(asked.label[:-1], labels, columns)
    if items is None or items == asked.label:
        return Items(labels)
    rated = _matching("--items", items, columns)
    names = [name.removeprefix(items[:-1]) for name in rated]
    paired = [asked.label[:-1] + name for name in names]
    missing = [name for name in paired if name not in columns]
    if missing:
        raise CannotPropose(
            f"--items {items} and --label {asked.label}: there is no column {missing[0]!r}: both "
            "need the same items after their beginning"
        )
    return Items(rated, tuple(paired))


def _matching(option: str, pattern: str, columns: Sequence[str]) -> tuple[str, ...]:
    found = tuple(name for name in columns if name.startswith(pattern.removesuffix("*")))
    if len(found) < 2:
        raise CannotPropose(
            f"{option} {pattern} matches {len(found)} columns: a ranking needs at least two"
        )
    return found


def _items_beside(prefix: str, labels: Sequence[str], columns: Sequence[str]) -> str | None:
    """The one other beginning with which every label column's item occurs, as a pattern."""
    names = [name.removeprefix(prefix) for name in labels]
    if not all(names):
        return None
    ends = [name.removesuffix(names[0]) for name in columns if name.endswith(names[0])]
    found = [
        start for start in ends
        if start and start != prefix and all(start + name in columns for name in names)
    ]  # fmt: skip
    if len(found) > 1:
        shown = " and ".join(f"'{start}*'" for start in found[:4])
        raise CannotPropose(
            f"the ratings so far may be {shown}: write --items '{found[0]}*' or another of them"
        )
    return f"{found[0]}*" if found else None


def as_item(guess: ColumnGuess) -> ColumnGuess:
    """An item's column: a number that may be missing, since not everything is rated."""
    if guess.kind is None:
        return guess
    return replace(guess, kind=Kind.NUMBER, options={**guess.options, "required": False})


def written_items(
    items: Items, guesses: Sequence[ColumnGuess]
) -> tuple[str, str | list[str] | None]:
    """`items` and `columns` of [label], by the names that the columns have in the declaration."""
    of_item = dict(zip(items.rated, items.labels or items.rated, strict=True))
    kept = [guess for guess in guesses if guess.source in of_item and guess.kind is not None]
    start = _beginning([guess.name for guess in kept])
    others = [g.name for g in guesses if g.kind is not None and g not in kept]
    if not start or any(name.startswith(start) for name in others):
        raise CannotPropose(
            f"the items {kept[0].source!r} and {kept[-1].source!r} have no beginning of their own: "
            "rename them, e.g. rating_tea and rating_mate"
        )
    if not items.labels:
        return f"{start}*", None
    labels = [of_item[guess.source] for guess in kept]
    pattern = _beginning(labels)
    is_regular = labels == [pattern + guess.name.removeprefix(start) for guess in kept]
    return f"{start}*", f"{pattern}*" if pattern and is_regular else labels


def _beginning(names: Sequence[str]) -> str:
    """The common prefix of all names, up to its last underscore if there is one."""
    low, high = min(names), max(names)
    length = next((at for at, letter in enumerate(low) if high[at] != letter), len(low))
    start = low[:length]
    return start[: start.rfind("_") + 1] or start
