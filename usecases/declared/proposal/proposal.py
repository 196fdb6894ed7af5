"""A proposal: every column of a source with a guess and a reason, and the roles that were named."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import cast

import polars as pl

from shared.clock import MICROS_PER_DAY
from shared.importing.files import PLACES, Piece, SourceTable
from shared.importing.mapping import CsvRules, Mapping, MappingError, TimeRules
from shared.importing.numbers import NumberStyle
from shared.importing.profile import look_over
from shared.importing.times import TimeReading, read_instants
from shared.rows.schema import Kind
from shared.rows.sources import RowSource
from shared.tasks import TaskKind
from usecases.declared.proposal.facts import Facts, Survey
from usecases.declared.proposal.items import FEEDBACK_ONLY, Items, as_item, find_items
from usecases.declared.proposal.kinds import ColumnGuess, guess_kind, safe_name, style_of
from usecases.declared.proposal.label_guess import LabelGuess, guess_label, numeric_labels
from usecases.declared.proposal.leaks import copies_label, known_late_warning, leak_warning
from usecases.declared.proposal.request import (
    LONGEST_NAME,
    MOST_COLUMNS,
    CannotPropose,
    NewUseCase,
)

_NEARLY_ALL = 0.9
_ZONE = "UTC"
_LONGEST_HELD_OUT_DAYS = 60


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
    columns = _columns_of(asked, sources)
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
    if not items.rated:
        labels = numeric_labels(label, sample[asked.label])
        guesses = [_with_leaks(guess, sample, labels, label.task) for guess in guesses]
    guesses = [_with_times(guess, sample, reading, times) for guess in guesses]
    numbers = {g.source: survey.facts[g.source] for g in guesses if g.kind is Kind.NUMBER}
    if not any(guess.kind for guess in guesses):
        raise CannotPropose("no column is left to learn from: bring columns besides the label")
    style = style_of(numbers)
    return Proposal(
        asked, survey.rows, label, tuple(guesses), row_id, why, reading, _held_out_days(times),
        style, csv, _notes(asked, survey, guesses), items,
    )  # fmt: skip


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


def _columns_of(asked: NewUseCase, sources: Sequence[RowSource]) -> tuple[str, ...]:
    names = sources[0].column_names()
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
    wanted = {"--label": asked.label, "--time": asked.time, "--entity": asked.entity}
    for option, name in wanted.items():
        if name is not None and not name.endswith("*") and name not in names:
            raise CannotPropose(_not_there(option, name, names, sources[0].name))
    return names


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
    guess: ColumnGuess, sample: pl.DataFrame, labels: pl.Series, task: TaskKind
) -> ColumnGuess:
    if guess.kind is None:
        return guess
    column = sample[guess.source]
    if copies_label(column, labels):
        why = "it is a copy of the label"
        return replace(guess, kind=None, why=why, warnings=(why,))
    warning = leak_warning(guess.kind, column, labels, task)
    return guess if warning is None else replace(guess, warnings=(*guess.warnings, warning))


def _with_times(
    guess: ColumnGuess, sample: pl.DataFrame, reading: TimeReading, times: pl.Series | None
) -> ColumnGuess:
    """A note about a moment column, and whether it has the time column's format."""
    if guess.kind is None:
        return guess
    moments = None
    if guess.kind is Kind.MOMENT:
        read = read_instants([sample[guess.source]], reading, guess.source)
        moments = read.value
        said = sample.height - sample[guess.source].null_count()
        if int(read.problem.is_not_null().sum()) > (1 - _NEARLY_ALL) * said:
            why = "its dates are written otherwise than those of the time column"
            return replace(guess, kind=None, why=why, warnings=(why,))
    warning = known_late_warning(guess.source, guess.kind, moments, times)
    return guess if warning is None else replace(guess, warnings=(*guess.warnings, warning))


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
                f"{asked.time} is missing in {times.rows - times.filled:,} rows: such rows are "
                "rejected"
            )
        if times.distinct == 1 and times.rows > 1:
            notes.append(
                f"{asked.time}: all rows have one instant, so that no later ones can be held out: "
                "bring rows of other days, or write --no-time"
            )
    return tuple(notes)
