"""Items of a ranking: which columns hold the ratings so far, and which those that followed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.rows.schema import Kind
from shared.tasks import TaskKind
from usecases.declared.proposal.kinds import ColumnGuess
from usecases.declared.proposal.request import CannotPropose, NewUseCase

FEEDBACK_ONLY = (
    "no column says what was rated next, so labels come by /feedback only: name such columns with "
    "--label 'next_*' --items 'rating_*'"
)


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
