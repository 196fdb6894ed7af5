"""Guesses of kinds, each with its reason; and columns that are omitted, with theirs."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.importing.numbers import Mark, NumberStyle
from shared.rows.coherence import RESERVED
from shared.rows.encoder import WORDS_PER_SLOT
from shared.rows.request_fields import LONGEST_WORD
from shared.rows.schema import Kind
from usecases.declared.proposal.facts import AMERICAN, EUROPEAN, Facts, Range

MOST_CLOSED_WORDS = 10
_FEWEST_ROWS_A_WORD = 20
_NEARLY_ALL = 0.95
_NEARLY_EMPTY = 0.05
_FEW_NOT_WORDS = 0.05
_HALF = 0.5
_FEWEST_IN_THREES = 20
_MOST_DIGITS = 1e15
_ID_NAME = re.compile(r"(^|[_\W])(id|uuid|guid|key|nr|no|number|ref|reference)$|[a-z]Id$|ID$")
_UNSAFE = re.compile(r"[^a-z0-9]+")
# letters that have no plain letter inside them
_LETTERS = str.maketrans(
    {
        "ß": "ss",
        "æ": "ae",
        "œ": "oe",
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "\u0131": "i",
    }
)


@dataclass(frozen=True, slots=True)
class ColumnGuess:
    """One column of the source.

    Attributes:
        name: what it is called in usecase.toml.
        kind: None: it is omitted.
        options: more about it, as written in the file.
        warnings: what a person should look at.
    """

    source: str
    name: str
    kind: Kind | None
    why: str
    options: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def guess_kind(facts: Facts, name: str) -> ColumnGuess:
    """The kind of a column, guessed from all of its values."""
    left_out = _reason_to_leave_out(facts)
    if left_out is not None:
        return ColumnGuess(facts.name, name, None, left_out, warnings=(left_out,))
    kind, why, options = _kind_of(facts)
    warnings = [*_doubts(facts, kind)]
    said = facts.filled + (sum(facts.blank_words.values()) if kind is Kind.CATEGORY else 0)
    if said < facts.rows:
        options = {**options, "required": False}
    if name != facts.name:
        options = {"from": facts.name, **options}
    return ColumnGuess(facts.name, name, kind, why, options, tuple(warnings))


def safe_name(source: str, taken: frozenset[str]) -> str:
    """The column's name as a request, a table and a vector can have it."""
    parts = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", source).lower().translate(_LETTERS)
    letters = "".join(
        c for c in unicodedata.normalize("NFKD", parts) if not unicodedata.combining(c)
    )
    plain = _UNSAFE.sub("_", letters).strip("_")
    name = plain if plain[:1].isalpha() else f"c_{plain}" if plain else "column"
    name = name[:44]
    if name in RESERVED:
        name = f"{name}_value"
    at, found = 2, name
    while found in taken:
        found, at = f"{name}_{at}", at + 1
    return found


def _reason_to_leave_out(facts: Facts) -> str | None:
    if facts.filled == 0:
        return "it is empty"
    if facts.distinct == 1 and facts.filled == facts.rows:
        return f"it is constant: always {next(iter(facts.counts))!r}"
    if facts.not_words > _FEW_NOT_WORDS * facts.filled:
        return (
            f"{facts.not_words:,} of {facts.filled:,} texts are longer than {LONGEST_WORD} "
            "characters or hold line ends: such a text is not a word of a category"
        )
    if facts.json > _HALF * facts.filled:
        return "its texts are JSON: bring what counts in them as columns of their own"
    looks_like_id = bool(_ID_NAME.search(facts.name))
    is_text = not facts.is_numeric and facts.moments < _NEARLY_ALL and not facts.is_temporal
    whole = facts.is_numeric and facts.whole == facts.filled
    if (
        facts.rows >= _FEWEST_ROWS_A_WORD
        and facts.is_unique
        and (is_text or (whole and looks_like_id))
    ):
        if facts.prose > _HALF * facts.filled:
            return "free text, nearly always another one: it does not generalise to new rows"
        return "nearly every row has its own value: an id does not generalise to new rows"
    return None


def _kind_of(facts: Facts) -> tuple[Kind, str, dict[str, Any]]:
    distinct = f"{facts.distinct:,} values"
    if facts.are_flags:
        return Kind.FLAG, "values " + " and ".join(sorted(facts.counts)), {}
    if facts.is_temporal or (facts.moments >= _NEARLY_ALL and not facts.is_numeric):
        return Kind.MOMENT, "dates; its age at the time of the row is learned from", {}
    if facts.is_numeric:
        return Kind.NUMBER, range_text(facts.range), {}
    if facts.numbers >= _NEARLY_ALL * facts.filled and not facts.padded:
        return Kind.NUMBER, f"{facts.numbers:,} of {facts.filled:,} values are numbers", {}
    words = facts.counts + facts.blank_words
    fewest = min(words.values(), default=0)
    if len(words) <= MOST_CLOSED_WORDS and fewest >= _FEWEST_ROWS_A_WORD:
        one = "one word, in" if len(words) == 1 else f"{len(words)} words, each in at least"
        return (
            Kind.CATEGORY, f"{one} {fewest:,} rows; others are refused", {"values": sorted(words)}
        )  # fmt: skip
    if facts.distinct > WORDS_PER_SLOT:
        more = "more than 5,000" if facts.is_full else f"{facts.distinct:,}"
        return Kind.CATEGORY, f"{more} words; new words are welcome", {"slots": 2}
    if facts.padded:
        return Kind.CATEGORY, f"codes with zeros in front, {distinct}; new ones are welcome", {}
    return Kind.CATEGORY, f"words, {distinct}; new words are welcome", {}


def _doubts(facts: Facts, kind: Kind) -> list[str]:
    found = []
    if facts.filled_share < _NEARLY_EMPTY:
        found.append(f"nearly empty: {facts.filled:,} of {facts.rows:,} rows have a value")
    if kind is Kind.NUMBER and facts.not_a_number is not None and not facts.is_numeric:
        value, row = facts.not_a_number
        found.append(f"{value!r} in row {row:,} is not a number: such rows are rejected")
    if kind is Kind.NUMBER and facts.is_unique and _ID_NAME.search(facts.name):
        found.append("its name is that of an id: remove it if it is one")
    if kind is Kind.NUMBER and facts.in_threes == facts.pointed >= _FEWEST_IN_THREES:
        found.append(
            f"all {facts.pointed:,} numbers with a point have exactly three digits behind it and "
            'are read as fractions: if the point separates thousands, write decimal = "," in it'
        )
    if kind is Kind.CATEGORY and facts.blank_words:
        words = sorted(facts.blank_words)
        are = "is a word" if len(words) == 1 else "are words"
        found.append(
            f"{', '.join(map(repr, words))} ({sum(facts.blank_words.values()):,} rows) {are} "
            "like others here: if it means that there is no value, leave it empty in the source, "
            f"or write nulls = [{', '.join(map(_quoted, ['NULL', *words]))}] under [csv]"
        )
    return found


def _quoted(word: str) -> str:
    return f'"{word}"'


def range_text(found: Range) -> str:
    return f"numbers from {_shown(found.low)} to {_shown(found.high)}"


def _shown(number: float) -> str:
    return f"{number:.0f}" if number.is_integer() and abs(number) < _MOST_DIGITS else f"{number:g}"


def styles_of(
    numbers: Mapping[str, Facts], label: Facts | None
) -> tuple[NumberStyle | None, dict[str, Mark]]:
    """The style of the source's numbers, None if all are plain; and columns of the other mark.

    The label, given where it is a number, is read in the style of the source.
    """
    every = [*numbers.values(), *([label] if label is not None else [])]
    odd = [facts for facts in every if facts.plain < facts.numbers]
    if not odd:
        return None, {}
    found = {name: mark for name, facts in numbers.items() if (mark := _mark(facts)) is not None}
    of_label = None if label is None else _mark(label)
    shown = [_mark(facts) for facts in odd]
    most: Mark = "," if shown.count(",") > shown.count(".") else "."
    mark = of_label or most
    style = EUROPEAN if mark == "," else AMERICAN
    return style, {name: other for name, other in found.items() if other != mark}


def _mark(facts: Facts) -> Mark | None:
    """The decimal mark that a column shows; None: whole numbers have none."""
    european = sum(_looks_european(value) for value in facts.counts)
    american = sum(_looks_american(value) for value in facts.counts)
    if european > american:
        return ","
    return "." if american or facts.in_threes < facts.pointed else None


def _looks_european(text: str) -> bool:
    return bool(re.search(r",(?:\d{1,2}|\d{4,})[^\d.,]*$|\.\d{3},", text))


def _looks_american(text: str) -> bool:
    return bool(re.search(r",\d{3}(?:\.|[^\d.,]*$)", text))
