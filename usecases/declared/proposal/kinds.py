"""Guesses of kinds, each with its reason; and columns that are omitted, with theirs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.importing.numbers import NumberStyle
from shared.rows.column_coherence import RESERVED
from shared.rows.encoder import WORDS_PER_SLOT
from shared.rows.request_fields import LONGEST_WORD
from shared.rows.schema import Kind
from usecases.declared.proposal.facts import Facts

MOST_CLOSED_WORDS = 10
_FEWEST_ROWS_A_WORD = 20
_NEARLY_ALL = 0.95
_NEARLY_EMPTY = 0.05
_FEW_NOT_WORDS = 0.05
_ID_NAME = re.compile(r"(^|[_\W])(id|uuid|guid|key|nr|no|number|ref|reference)$|[a-z]Id$|ID$")
_UNSAFE = re.compile(r"[^a-z0-9]+")


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
    if facts.filled < facts.rows:
        options = {**options, "required": False}
    if name != facts.name:
        options = {"from": facts.name, **options}
    return ColumnGuess(facts.name, name, kind, why, options, tuple(warnings))


def safe_name(source: str, taken: frozenset[str]) -> str:
    """The column's name as a request, a table and a vector can have it."""
    plain = _UNSAFE.sub("_", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", source).lower()).strip("_")
    name = plain if plain[:1].isalpha() else f"c_{plain}"
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
    looks_like_id = bool(_ID_NAME.search(facts.name))
    is_text = not facts.is_numeric and facts.moments < _NEARLY_ALL and not facts.is_temporal
    whole = facts.is_numeric and facts.whole == facts.filled
    if (
        facts.rows >= _FEWEST_ROWS_A_WORD
        and facts.is_unique
        and (is_text or (whole and looks_like_id))
    ):
        return "nearly every row has its own value: an id does not generalise to new rows"
    return None


def _kind_of(facts: Facts) -> tuple[Kind, str, dict[str, Any]]:
    distinct = f"{facts.distinct:,} values"
    if facts.are_flags:
        return Kind.FLAG, "values " + " and ".join(sorted(facts.counts)), {}
    if facts.is_temporal or (facts.moments >= _NEARLY_ALL and not facts.is_numeric):
        return Kind.MOMENT, "dates; its age at the time of the row is learned from", {}
    if facts.is_numeric:
        return Kind.NUMBER, f"numbers from {facts.low:g} to {facts.high:g}", {}
    if facts.numbers >= _NEARLY_ALL * facts.filled:
        return Kind.NUMBER, f"{facts.numbers:,} of {facts.filled:,} values are numbers", {}
    fewest = min(facts.counts.values(), default=0)
    if facts.distinct <= MOST_CLOSED_WORDS and fewest >= _FEWEST_ROWS_A_WORD:
        why = f"{facts.distinct} words, each in at least {fewest:,} rows; others are refused"
        return Kind.CATEGORY, why, {"values": sorted(facts.counts)}
    if facts.distinct > WORDS_PER_SLOT:
        more = "more than 5,000" if facts.is_full else f"{facts.distinct:,}"
        return Kind.CATEGORY, f"{more} words; new words are welcome", {"slots": 2}
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
    return found


def style_of(numbers: Mapping[str, Facts]) -> NumberStyle | None:
    """None: all numbers are plain; else the one style in which the columns have to be read."""
    odd = [facts for facts in numbers.values() if facts.plain < facts.numbers]
    if not odd:
        return None
    european = sum(_looks_european(value) for facts in odd for value in facts.counts)
    american = sum(_looks_american(value) for facts in odd for value in facts.counts)
    return NumberStyle(",", ".") if european > american else NumberStyle(".", ",")


def _looks_european(text: str) -> bool:
    return bool(re.search(r",\d{1,2}$|,\d{4,}$|\.\d{3},", text))


def _looks_american(text: str) -> bool:
    return bool(re.search(r",\d{3}(\.|$)", text))
