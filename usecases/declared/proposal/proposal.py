"""A proposal: every column of a source with a guess and a reason, and the roles that were named."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import polars as pl

from shared.clock import MICROS_PER_DAY, isoformat
from shared.importing.files import PLACES, Piece, SourceTable
from shared.importing.mapping import CsvRules, Mapping, MappingError, TimeRules
from shared.importing.numbers import PLAIN, Mark, NumberStyle
from shared.importing.profile import look_over
from shared.importing.times import TimeReading, read_instants
from shared.rows.reading import without_missing
from shared.rows.schema import Kind
from shared.rows.sources import RowSource
from shared.tasks import TaskKind
from usecases.declared.proposal.facts import AMERICAN, EUROPEAN, Facts, Survey
from usecases.declared.proposal.kinds import (
    ColumnGuess,
    guess_kind,
    range_text,
    safe_name,
    styles_of,
)
from usecases.declared.proposal.label_guess import (
    LabelGuess,
    copies_label,
    guess_label,
    known_late_warning,
    leak_warning,
    numeric_labels,
)
from usecases.declared.proposal.request import CannotPropose, NewUseCase
from usecases.declared.proposal.source_columns import (
    FEEDBACK_ONLY,
    Items,
    as_item,
    columns_of,
    find_items,
    nested_columns,
)

_NEARLY_ALL = 0.9
_ZONE = "UTC"
_LONGEST_HELD_OUT_DAYS = 60
_FEWEST_UNLABELLED = 5
_MONTH = re.compile(r"\d{4}[-/.]\d{1,2}|\d{1,2}[-/.]\d{4}")


@dataclass(frozen=True, slots=True)
class Proposal:
    """The content of a usecase.toml before it is written.

    Attributes:
        row_id: the source column that names a row; None: ids are made of the content.
        reading: the format of instants; None: the rows have no time.
        held_out_days: the newest fifth of the time that the rows span, at most 60 days.
        style: the format of numbers, where it is not the plain one.
    """

    asked: NewUseCase
    rows: int
    label: LabelGuess
    guesses: tuple[ColumnGuess, ...]
    row_id: str | None
    row_id_why: str
    reading: TimeReading | None
    held_out_days: int
    style: NumberStyle | None
    csv: CsvRules
    notes: tuple[str, ...]
    items: Items


def propose(asked: NewUseCase, sources: Sequence[RowSource], csv: CsvRules) -> Proposal:
    """Look all rows over and guess.

    Raises:
        CannotPropose: something must not be guessed; names the column and the option.
    """
    named, nameless = columns_of(asked, sources)
    nested = nested_columns(asked, sources)
    columns = tuple(name for name in named if name not in nested)
    survey = Survey(columns)
    for source in sources:
        for piece in source.pieces(columns):
            survey.add(piece)
    if survey.rows == 0:
        raise CannotPropose(_without_rows(sources[0]))
    items = find_items(asked, columns)
    _check_time(asked, survey)
    _check_entity(asked, survey)
    label = (
        _label_of_items(items)
        if items.rated
        else guess_label(survey.facts[asked.label], asked.task)
    )
    sample = survey.sample()
    reading = _reading(asked, sample)
    times = None if asked.time is None else _instants(sample, asked.time, reading)
    row_id, why = _row_id(asked, survey)
    roles: set[str | None] = {asked.label, asked.entity, asked.time, row_id}
    roles -= set(items.rated)
    roles |= set(items.labels)
    guesses = _guesses([f for n, f in survey.facts.items() if n not in roles])
    guesses = [as_item(guess) if guess.source in items.rated else guess for guess in guesses]
    of_label = survey.facts[asked.label] if label.task is TaskKind.REGRESSION else None
    numbers = {g.source: survey.facts[g.source] for g in guesses if g.kind is Kind.NUMBER}
    style, others = styles_of(numbers, of_label)
    guesses = [_with_style(guess, survey, style, others) for guess in guesses]
    notes = [*_notes(asked, survey, guesses), *nameless]
    if of_label is not None:
        label = replace(label, why=range_text(of_label.range_in(style)))
    if not items.rated:
        labels = numeric_labels(label, sample[asked.label], style or PLAIN)
        guesses = [_with_leaks(guess, sample, labels, label.task, style) for guess in guesses]
        notes += _unlabelled(labels, times)
    guesses = [_with_times(guess, sample, reading, times) for guess in guesses]
    guesses += [_left_out(name, why) for name, why in nested.items()]
    if not any(guess.kind for guess in guesses):
        raise CannotPropose(_nothing_left(guesses))
    return Proposal(
        asked, survey.rows, label, tuple(guesses), row_id, why, reading, _held_out_days(times),
        style, csv, tuple(notes), items,
    )  # fmt: skip


def _nothing_left(guesses: Sequence[ColumnGuess]) -> str:
    shown = "; ".join(f"{guess.source}: {guess.why}" for guess in guesses[:3])
    why = f" (left out are {shown})" if guesses else ""
    return f"no column is left to learn from: bring columns besides the label{why}"


def _left_out(name: str, why: str) -> ColumnGuess:
    return ColumnGuess(name, safe_name(name, frozenset()), None, why, warnings=(why,))


def _with_style(
    guess: ColumnGuess, survey: Survey, style: NumberStyle | None, others: dict[str, Mark]
) -> ColumnGuess:
    """A column of numbers with its range as it is written, and a decimal mark of its own."""
    facts = survey.facts[guess.source]
    if guess.kind is not Kind.NUMBER or not facts.is_numeric:
        return guess
    own = others.get(guess.source)
    if own is None:
        return replace(guess, why=range_text(facts.range_in(style)))
    written = EUROPEAN if own == "," else AMERICAN
    options = {**guess.options, "decimal": own}
    return replace(guess, why=range_text(facts.range_in(written)), options=options)


def _unlabelled(labels: pl.Series, times: pl.Series | None) -> list[str]:
    """Notes about rows without a label; the newest often have none yet."""
    without = labels.null_count()
    if without < _FEWEST_UNLABELLED:
        return []
    notes = [f"{without / len(labels):.1%} of the rows have no label and are not learned from"]
    if times is None:
        return notes
    last = times.filter(labels.is_not_null()).max()
    newest = times.max()
    if not isinstance(last, int) or not isinstance(newest, int):
        return notes
    later = int((times > last).sum())
    days = math.ceil((newest - last) / MICROS_PER_DAY)
    if later >= _FEWEST_UNLABELLED and later > without / 2:
        notes.append(
            f"the newest rows, after {isoformat(last)[:10]}, have no label: if that is how long "
            f'it takes until a label is known, write delay = "{days}d" under [label]'
        )
    return notes


def _without_rows(source: RowSource) -> str:
    refused = next(source.refused, None) if isinstance(source, SourceTable) else None
    if refused is None:
        return f"{source.name} holds no rows: bring at least one"
    _row, line, _text, wrong = refused
    return f"no line of {source.name} is a row: {wrong} (line {line:,}); correct the file"


def _label_of_items(items: Items) -> LabelGuess:
    why = f"{len(items.rated)} items, {items.rated[0]} to {items.rated[-1]}"
    return LabelGuess(TaskKind.RANKING, (), why, () if items.labels else (FEEDBACK_ONLY,))


def _held_out_days(times: pl.Series | None) -> int:
    known = None if times is None else times.drop_nulls()
    if known is None or known.is_empty():
        return _LONGEST_HELD_OUT_DAYS
    span_us = int(known.max()) - int(known.min())  # type: ignore[arg-type]
    return max(1, min(_LONGEST_HELD_OUT_DAYS, round(span_us / MICROS_PER_DAY / 5)))


def _check_entity(asked: NewUseCase, survey: Survey) -> None:
    if asked.entity is not None and survey.facts[asked.entity].filled == 0:
        raise CannotPropose(
            f"--entity {asked.entity} has no value in any of {survey.rows:,} rows: name another "
            "column, or leave --entity out, after which every row counts as independent"
        )


def _check_time(asked: NewUseCase, survey: Survey) -> None:
    if asked.time is None and not asked.no_time:
        dated = [f.name for f in survey.facts.values() if _is_dated(f)]
        shown = f" ({', '.join(dated[:5])} may be it)" if dated else ""
        raise CannotPropose(
            f"which column says when a row was true?{shown} Write --time COLUMN; or --no-time, "
            "after which no future is held out"
        )
    if asked.time is not None and asked.no_time:
        raise CannotPropose(f"--time {asked.time} and --no-time contradict each other: leave one")


def _is_dated(facts: Facts) -> bool:
    return facts.is_temporal or (facts.moments > _NEARLY_ALL and not facts.is_numeric)


@dataclass(frozen=True, slots=True)
class _Sampled:
    """A sample that `look_over` reads as if it were a file."""

    frame: pl.DataFrame

    def pieces(self, columns: tuple[str, ...]) -> list[Piece]:
        rows = pl.Series(PLACES[0], range(1, self.frame.height + 1), pl.Int64)
        return [Piece(self.frame.select(columns), rows, rows, 1.0)]


def _reading(asked: NewUseCase, sample: pl.DataFrame) -> TimeReading:
    """The format of the time column's instants.

    Raises:
        CannotPropose: the column holds no instants, or is ambiguous.
    """
    if asked.time is None:
        order = (
            None if asked.day_first is None else "day first" if asked.day_first else ("month first")
        )
        return TimeReading(_ZONE, None, 0, asked.time_format, order)  # type: ignore[arg-type]
    rules = TimeRules(
        zone=_ZONE, unit=asked.time_unit, format=asked.time_format, day_first=asked.day_first
    )
    mapping = Mapping.model_construct(columns={"event_time": asked.time}, time=rules)
    try:
        found = look_over([cast(SourceTable, _Sampled(sample))], mapping, (), ())
    except MappingError as error:
        raise CannotPropose(
            f"--time {asked.time}: {error} (here: --time-unit, --day-first, --month-first, "
            "--time-format or --no-time)"
        ) from error
    reading = found.times["event_time"]
    read = read_instants([sample[asked.time]], reading, asked.time)
    said = sample.height - sample[asked.time].null_count()
    unread = sample.filter(read.problem.is_not_null())
    if said == 0:
        raise CannotPropose(f"--time {asked.time}: the column is empty; name another, or --no-time")
    if unread.height > (1 - _NEARLY_ALL) * said:
        if _MONTH.fullmatch(str(unread[0, asked.time]).strip()):
            raise CannotPropose(
                f"--time {asked.time}: {unread[0, asked.time]!r} is a month, and a row needs a "
                "day: write whole dates, e.g. that of its last day, 2025-12-31"
            )
        raise CannotPropose(
            f"--time {asked.time}: {unread[0, asked.time]!r} is not a date and time, and "
            f"{unread.height:,} of {said:,} values like it: name another column, say "
            "--time-format, or write --no-time"
        )
    return reading


def _instants(sample: pl.DataFrame, column: str, reading: TimeReading) -> pl.Series:
    return read_instants([sample[column]], reading, column).value


def _row_id(asked: NewUseCase, survey: Survey) -> tuple[str | None, str]:
    """A column that names a row: unique in every row, and called like an id."""
    if asked.entity is not None and survey.facts[asked.entity].is_unique:
        return asked.entity, "one row for each entity"
    for name, facts in survey.facts.items():
        taken = name in (asked.label, asked.time, asked.entity)
        if (
            not taken
            and guess_kind(facts, "x").why.startswith("nearly every row")
            and (facts.is_full or facts.distinct == facts.rows)
        ):
            return name, "every row has its own value"
    return None, "no column names rows: ids are made of their content"


def _guesses(all_facts: Sequence[Facts]) -> list[ColumnGuess]:
    guesses: list[ColumnGuess] = []
    for facts in all_facts:
        taken = frozenset(guess.name for guess in guesses)
        guesses.append(guess_kind(facts, safe_name(facts.name, taken)))
    return guesses


def _with_leaks(
    guess: ColumnGuess,
    sample: pl.DataFrame,
    labels: pl.Series,
    task: TaskKind,
    style: NumberStyle | None,
) -> ColumnGuess:
    if guess.kind is None:
        return guess
    column = sample[guess.source]
    if copies_label(column, labels):
        why = "it is a copy of the label"
        return replace(guess, kind=None, why=why, warnings=(why,))
    own = guess.options.get("decimal")
    written = (EUROPEAN if own == "," else AMERICAN) if own else style or PLAIN
    warning = leak_warning(guess.kind, column, labels, task, written)
    return guess if warning is None else replace(guess, warnings=(*guess.warnings, warning))


def _with_times(
    guess: ColumnGuess, sample: pl.DataFrame, reading: TimeReading, times: pl.Series | None
) -> ColumnGuess:
    """A note about a moment column, and whether it has the time column's format."""
    if guess.kind is None:
        return guess
    moments = None
    if guess.kind is Kind.MOMENT:
        read = read_instants([without_missing(sample[guess.source])], reading, guess.source)
        moments = read.value
        said = sample.height - sample[guess.source].null_count()
        if int(read.problem.is_not_null().sum()) > (1 - _NEARLY_ALL) * said:
            why = "its dates are written otherwise than those of the time column"
            return replace(guess, kind=None, why=why, warnings=(why,))
    warning = known_late_warning(guess.source, guess.kind, moments, times)
    return guess if warning is None else replace(guess, warnings=(*guess.warnings, warning))


def counted(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _notes(asked: NewUseCase, survey: Survey, guesses: Sequence[ColumnGuess]) -> tuple[str, ...]:
    notes = []
    if asked.entity is None:
        left_out = {guess.source for guess in guesses if guess.kind is None}
        repeated = [
            f.name for f in survey.facts.values()
            if f.name.lower().endswith(("id", "_key")) and f.name not in left_out
            and f.distinct >= 2 and not f.is_unique
            # values beyond the limit of distinct values were not counted
            and sum(f.counts.values()) / f.distinct >= 2
        ]  # fmt: skip
        if repeated:
            notes.append(
                f"{repeated[0]} occurs in several rows: if they depend on each other, write "
                f"--entity {repeated[0]}"
            )
    if asked.time is not None:
        times = survey.facts[asked.time]
        if times.filled < times.rows:
            notes.append(
                f"{asked.time} is missing in {counted(times.rows - times.filled)}, which will be "
                "rejected"
            )
        if times.distinct == 1 and times.rows > 1:
            notes.append(
                f"{asked.time}: all rows have one instant, so that no later ones can be held out: "
                "bring rows of other days, or write --no-time"
            )
    return tuple(notes)
