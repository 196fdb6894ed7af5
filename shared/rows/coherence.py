"""Checks between and within keys of usecase.toml; every fault names its keys and the remedy."""

from collections.abc import Iterator

from shared.rows.declared_keys import ColumnSection, DeclaredKeys
from shared.rows.request_fields import NAMES_OF_REQUESTS
from shared.rows.schema import MAX_NUMBER, Kind
from shared.tasks import TaskKind
from shared.tasks.metrics import METRICS, is_metric_of

_LABEL_KEYS = {
    TaskKind.BINARY: ("column", "positive"),
    TaskKind.MULTICLASS: ("column", "classes"),
    TaskKind.REGRESSION: ("column",),
    TaskKind.RANKING: ("items",),
}
_OPTIONAL_LABEL_KEYS = {TaskKind.BINARY: ("negative",), TaskKind.RANKING: ("columns",)}


def faults_of(declared: DeclaredKeys) -> list[str]:
    """Every fault between keys."""
    checks = (_time, _label, _classes, _items, _roles, _columns, _judge, _slices, _source)
    return [fault for check in checks for fault in check(declared)]


def _time(declared: DeclaredKeys) -> Iterator[str]:
    section = declared.use_case
    if section.time is None and not section.no_time:
        yield (
            'use_case.time is missing: write time = "COLUMN", or no_time = true if the rows have '
            "no order in time"
        )
    if section.time is not None and section.no_time:
        yield f"use_case.no_time contradicts use_case.time = {section.time!r}: remove one of them"
    held_out = declared.judge.held_out
    if held_out is not None and section.no_time and held_out.share is None:
        yield 'judge.held_out is a duration, but the rows have no time: write a share, e.g. "20 %"'
    if held_out is not None and section.time is not None and held_out.share is not None:
        yield (
            "judge.held_out is a share, but the rows have a time: write a duration, e.g. "
            '"60d", so that the newest rows are held out'
        )


def _label(declared: DeclaredKeys) -> Iterator[str]:
    task, label = declared.use_case.task, declared.label
    needed = _LABEL_KEYS[task]
    allowed = (*needed, *_OPTIONAL_LABEL_KEYS.get(task, ()))
    for key in needed:
        if getattr(label, key) is None:
            yield f'label.{key} is missing: task = "{task}" needs it'
    for key in ("column", "positive", "negative", "classes", "items", "columns"):
        if getattr(label, key) is not None and key not in allowed:
            yield f'label.{key} has no meaning for task = "{task}": remove it'
    if label.known_at is not None and label.delay:
        yield "label.delay and label.known_at state the same fact twice: remove one of them"


def _classes(declared: DeclaredKeys) -> Iterator[str]:
    label = declared.label
    if label.positive is not None and label.positive == label.negative:
        yield f"label.negative = {label.negative!r} is label.positive too: name the other class"
    classes = label.classes or ()
    for name in sorted({name for name in classes if classes.count(name) > 1}):
        yield f"label.classes names {name!r} twice: keep one"


def _items(declared: DeclaredKeys) -> Iterator[str]:
    if declared.label.items is None:
        return
    if len(declared.items) < 2:
        yield (
            f"label.items = {declared.label.items!r} matches {len(declared.items)} columns: "
            'declare at least two, e.g. items = "rating_*"'
        )
    for name in declared.items:
        if declared.columns[name].kind is not Kind.NUMBER:
            yield f'columns.{name} is an item of the ranking: its kind must be "number"'
    yield from _item_labels(declared)


def _item_labels(declared: DeclaredKeys) -> Iterator[str]:
    labels, written = declared.item_labels, declared.label.columns
    if written is None:
        return
    if len(set(labels)) != len(declared.items):
        yield (
            f"label.columns = {list(written)!r} is not one column for each of the "
            f'{len(declared.items)} items: write columns = "next_*", or one name for each item'
        )
    sources = {column.source or name: name for name, column in declared.columns.items()}
    for name in labels:
        if name in sources:
            yield (
                f"columns.{sources[name]} is a label too (label.columns), and the label would "
                "leak into the features: remove it from [columns]"
            )


def _roles(declared: DeclaredKeys) -> Iterator[str]:
    section, label = declared.use_case, declared.label
    roles = {
        "label.column": label.column,
        "use_case.row_id": section.row_id,
        "use_case.entity": section.entity,
        "use_case.time": section.time,
        "label.known_at": label.known_at,
    }
    taken: dict[str, str] = {}
    for role, column in roles.items():
        if column is None:
            continue
        # tables with one row for each entity are common: one id may have both roles
        pair = {role, taken.get(column, role)}
        if column in taken and pair != {"use_case.row_id", "use_case.entity"}:
            yield f"{role} and {taken[column]} are both {column!r}: name another column"
        taken.setdefault(column, role)
    yield from _roles_among_columns(declared, taken)
    stake = section.stake
    if stake is not None and (
        stake not in declared.columns or declared.columns[stake].kind is not Kind.NUMBER
    ):
        yield f'use_case.stake = {stake!r} must be one of [columns] with kind "number"'


def _roles_among_columns(declared: DeclaredKeys, taken: dict[str, str]) -> Iterator[str]:
    for name, column in declared.columns.items():
        for used in dict.fromkeys((column.source or name, name)):
            role = taken.get(used)
            if role is None or (role == "use_case.time" and _is_calendar(declared, name, used)):
                continue
            why = (
                "the label would leak into the features"
                if role == "label.column"
                else ("it does not hold out rows of the future")
            )
            yield f"columns.{name} is {role} too, and {why}: remove it from [columns]"


def _is_calendar(declared: DeclaredKeys, name: str, used: str) -> bool:
    """Parts of the calendar may be read from the time of the row; its age is always 0."""
    column = declared.columns[name]
    parts = column.parts or ("age_days",)
    return column.kind is Kind.MOMENT and name != used and "age_days" not in parts


def _judge(declared: DeclaredKeys) -> Iterator[str]:
    task, judge = declared.use_case.task, declared.judge
    named = {f"judge.guards.{name}": name for name in judge.guards}
    named |= {f"judge.floors.{name}": name for name in judge.floors}
    if judge.metric is not None:
        named["judge.metric"] = judge.metric
    for key, name in named.items():
        if not is_metric_of(task, name):
            yield (
                f'{key} = {name!r} is not a metric of task = "{task}": write one of '
                + ", ".join(METRICS[task])
            )
    if declared.metric in judge.guards:
        yield f"judge.guards names the metric {declared.metric!r} itself: use judge.margin"


def _slices(declared: DeclaredKeys) -> Iterator[str]:
    for rule in declared.judge.slices:
        column = declared.columns.get(rule.column)
        if column is None:
            yield f"judge.slices: there is no column {rule.column!r} in [columns]"
        elif rule.parts is None and column.kind in (Kind.NUMBER, Kind.MOMENT):
            yield f'judge.slices: {rule.column} is a {column.kind}: write "{rule.column} / 4"'
        elif rule.parts is not None and column.kind not in (Kind.NUMBER, Kind.MOMENT):
            yield f'judge.slices: {rule.column} is a {column.kind}: write "{rule.column}"'


def _source(declared: DeclaredKeys) -> Iterator[str]:
    if declared.source.files is not None and declared.source.sql is not None:
        yield "source.files and source.sql: rows come from one of them; remove the other"


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


def _columns(declared: DeclaredKeys) -> Iterator[str]:
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
