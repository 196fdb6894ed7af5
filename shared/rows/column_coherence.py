"""Checks within one column of usecase.toml."""

from collections.abc import Iterator

from shared.rows.declared_keys import DeclaredKeys
from shared.rows.request_fields import NAMES_OF_REQUESTS
from shared.rows.schema import MAX_NUMBER, Kind
from shared.rows.sections import ColumnSection

RESERVED = NAMES_OF_REQUESTS | frozenset(
    {
        "row_id", "entity", "event_time", "ingested_at", "label", "label_known_at",
        "label_source", "sent_by", "label_sent_by", "decided_at", "score", "component_scores",
        "decision", "matched_rules", "reason_codes", "model_version", "feature_set_version",
        "feature_vector", "latency_ms",
    }
)  # fmt: skip
"""Columns that every table of rows has besides the declared ones, and names of every request."""

_ONLY_FOR = {
    "min": Kind.NUMBER,
    "max": Kind.NUMBER,
    "decimal": Kind.NUMBER,
    "values": Kind.CATEGORY,
    "slots": Kind.CATEGORY,
    "parts": Kind.MOMENT,
}
_WRITTEN = {"parts": "as"}


def column_faults(declared: DeclaredKeys) -> Iterator[str]:
    """Every fault of every column."""
    for name, column in declared.columns.items():
        if name in RESERVED:
            yield (
                f"columns.{name} has a name that every table or request uses: write "
                f'{name}_value = {{ kind = "{column.kind}", from = "{column.source or name}" }}'
            )
        for check in (_options, _bounds, _words, _default):
            for fault in check(column):
                yield f"columns.{name}{fault}"


def _options(column: ColumnSection) -> Iterator[str]:
    for key, kind in _ONLY_FOR.items():
        if getattr(column, key) is not None and column.kind is not kind:
            written = _WRITTEN.get(key, key)
            yield (
                f'.{written} is for kind = "{kind}", and this is a {column.kind}: remove it, or '
                "change the kind"
            )


def _bounds(column: ColumnSection) -> Iterator[str]:
    low, high = column.min, column.max
    for key, value in (("min", low), ("max", high)):
        if value is not None and abs(value) > MAX_NUMBER:
            yield f".{key} = {value!r} is beyond {MAX_NUMBER:g}: remove it"
    if low is not None and high is not None and low > high:
        yield f": min = {low:g} is above max = {high:g}: exchange them"


def _words(column: ColumnSection) -> Iterator[str]:
    words = column.values or ()
    for word in sorted({word for word in words if words.count(word) > 1}):
        yield f".values names {word!r} twice: keep one"
    if words and column.slots is not None:
        yield ".slots is for a category without values: remove one of them"


def _default(column: ColumnSection) -> Iterator[str]:
    value = column.default
    if value is None:
        return
    if column.required:
        yield ".default is never used where required = true: remove one of them"
    wrong = _DEFAULT_FAULTS[column.kind](column, value)
    if wrong is not None:
        yield f".default = {value!r} {wrong}"


def _number_default(column: ColumnSection, value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "is not a number: write one"
    low = -MAX_NUMBER if column.min is None else column.min
    high = MAX_NUMBER if column.max is None else column.max
    return None if low <= value <= high else "is outside of min and max: change one of them"


def _flag_default(_column: ColumnSection, value: object) -> str | None:
    return None if isinstance(value, bool) else "is not a flag: write true or false"


def _word_default(column: ColumnSection, value: object) -> str | None:
    if not isinstance(value, str):
        return "is not a word: write it in quotes"
    is_known = not column.values or value in column.values
    return None if is_known else "is not one of its values: add it to them"


def _moment_default(_column: ColumnSection, _value: object) -> str | None:
    return "is for a moment, which has none: remove it"


_DEFAULT_FAULTS = {
    Kind.NUMBER: _number_default,
    Kind.FLAG: _flag_default,
    Kind.CATEGORY: _word_default,
    Kind.MOMENT: _moment_default,
}
