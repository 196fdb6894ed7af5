"""Converts rows of a file or a query into rows of a declared use case; gives reasons for misfits.

Whole columns at a time: values first, then one problem after the other. A row without a problem is
accepted. The formats of numbers and instants are declared, not guessed, so that a row has the same
meaning today and in a year.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import polars as pl

from shared.clock import MICROS_PER_DAY, to_the_second
from shared.importing.files import PLACES, Piece
from shared.importing.numbers import NumberStyle
from shared.importing.texts import read_texts
from shared.importing.times import Order, TimeReading, read_instants
from shared.rows.column_values import DistinctTexts, Written, column_reader, read_label
from shared.rows.declaration import Declaration, DeclarationError
from shared.rows.reading import (
    Read,
    first,
    nothing,
    or_else,
    together,
    told,
    without_missing,
    word_problems,
)
from shared.rows.schema import Column

_BYTES = 12
_SHOWN_COLUMNS = 20
_SEPARATOR = "\x1f"


class RowIds:
    """Ids for the rows of one import; rows that are similar to the last character are numbered."""

    def __init__(self) -> None:
        self._seen: Counter[bytes] = Counter()

    def of_content(self, content: pl.DataFrame) -> pl.Series:
        """One id for each row, the same whenever these rows are read in this order."""
        texts = [
            pl.col(name).cast(pl.String, strict=False).fill_null("\0") for name in content.columns
        ]
        joined = content.select(pl.concat_str(texts, separator=_SEPARATOR).alias("row"))["row"]
        return pl.Series([self._next(row) for row in joined], dtype=pl.String)

    def _next(self, row: str) -> str:
        digest = blake2b(row.encode(), digest_size=_BYTES).digest()
        self._seen[digest] += 1
        times = self._seen[digest]
        return digest.hex() if times == 1 else f"{digest.hex()}-{times}"


EARLIEST_US = -2_208_988_800_000_000
"""The year 1900: older instants are a wrong unit or origin."""
MAX_AHEAD_US = MICROS_PER_DAY
REASON = "reason"


@dataclass(frozen=True, slots=True)
class ConvertedRows:
    """Accepted rows as they are stored; rejected ones as they came, with their reasons.

    Attributes:
        accepted: row_id, entity, event_time, ingested_at, the declared columns, label and
            label_known_at.
        rejected: row, line and reason, then the columns of the source.
    """

    accepted: pl.DataFrame
    rejected: pl.DataFrame


class RowConverter:
    """Converts the pieces of one import, in order."""

    def __init__(self, declared: Declaration, now_us: int) -> None:
        self._declared = declared
        self._schema = declared.row_schema
        self._now_us = now_us
        self._ids = RowIds()
        numbers, times = declared.numbers, declared.time
        style = NumberStyle(numbers.decimal or ".", numbers.thousands)
        order: Order | None = None
        if times.day_first is not None:
            order = "day first" if times.day_first else "month first"
        reading = TimeReading(times.zone or "UTC", times.unit, 0, times.format, order)
        self._written = Written(style, reading)
        self._readers = {
            column.name: column_reader(column, self._written_as(column.name))
            for column in self._schema.columns
        }
        time = self._schema.roles.time or ""
        self._times = DistinctTexts(lambda texts: self._instants(texts, time))

    def _written_as(self, column: str) -> Written:
        """The formats of one column, which may have a decimal mark of its own."""
        decimal = self._declared.columns[column].decimal
        if decimal is None:
            return self._written
        return Written(NumberStyle(decimal, "," if decimal == "." else "."), self._written.times)

    def convert(self, piece: Piece) -> ConvertedRows:
        """Convert one piece that has `needed_sources`.

        Raises:
            MappingError: a column has a type that cannot be read at all.
        """
        read = {column.name: self._column(column, piece.frame) for column in self._schema.columns}
        times = self._event_time(piece.frame)
        labels = read_label(self._declared, piece.frame, self._written.numbers)
        known_at = self._known_at(piece.frame, times.values, labels.values)
        all_read = [*read.values(), times, labels, known_at]
        reasons = together([one.problems for one in all_read], piece.frame.height)
        ids, unfit = self._row_ids(piece.frame)
        entities = self._entities(piece.frame, ids)
        reasons = together([reasons, unfit, entities.problems], piece.frame.height)
        values = pl.DataFrame(
            {
                "row_id": ids,
                "entity": entities.values,
                "event_time": times.values,
                "ingested_at": times.values,
                **{name: one.values for name, one in read.items()},
                "label": labels.values,
                "label_known_at": known_at.values,
            }
        )
        is_bad = reasons.is_not_null()
        places = pl.DataFrame({PLACES[0]: piece.rows, PLACES[1]: piece.lines, REASON: reasons})
        theirs = piece.frame.rename({name: f"\0{name}" for name in piece.frame.columns})
        rejected = pl.concat([places, theirs], how="horizontal").filter(is_bad)
        return ConvertedRows(values.filter(~is_bad), rejected)

    def inputs(self, piece: Piece) -> tuple[pl.DataFrame, pl.Series]:
        """The inputs of a model from a piece with `input_sources`, and the errors of rows.

        The frame has the declared columns and event_time, and row_id where the piece has it.
        """
        frame, roles = piece.frame, self._schema.roles
        read = {column.name: self._column(column, frame) for column in self._schema.columns}
        times = Read(self._now(frame.height), nothing(frame.height))
        if roles.time is not None and roles.time in frame.columns:
            times = self._event_time(frame)
        values = {name: one.values for name, one in read.items()} | {"event_time": times.values}
        if roles.row_id is not None and roles.row_id in frame.columns:
            values["row_id"] = read_texts(frame[roles.row_id], is_identifier=True, is_numeric=False)
        problems = [one.problems for one in (*read.values(), times)]
        return pl.DataFrame(values), together(problems, frame.height)

    def _column(self, column: Column, frame: pl.DataFrame) -> Read:
        source = frame[column.source]
        read = self._readers[column.name](source)
        missing = f"{column.name} is missing (required = false allows that)"
        if not column.required:
            return read
        lacking = read.values.is_null() & read.problems.is_null()
        return Read(read.values, or_else(read.problems, lacking, missing))

    def _event_time(self, frame: pl.DataFrame) -> Read:
        name = self._schema.roles.time
        if name is None:
            now = self._now(frame.height)
            return Read(now, nothing(frame.height))
        read = self._times(frame[name])
        value, latest = read.values, self._now_us + MAX_AHEAD_US
        lacking = value.is_null() & read.problems.is_null()
        problems = or_else(read.problems, lacking, f"{name}, the time of the row, is missing")
        future = f"{name} is {{}}, in the future (now is {to_the_second(self._now_us)})"
        late = (value > latest).fill_null(value=False)
        old = (value < EARLIEST_US).fill_null(value=False)
        problems = first(problems, told(frame[name], late, future))
        return Read(value, first(problems, told(frame[name], old, f"{name} is {{}}, before 1900")))

    def _now(self, height: int) -> pl.Series:
        return pl.Series([self._now_us], dtype=pl.Int64).new_from_index(0, height)

    def _instants(self, texts: pl.Series, name: str) -> Read:
        read = read_instants([texts], self._written.times, name)
        return Read(read.value, read.problem)

    def _known_at(self, frame: pl.DataFrame, times: pl.Series, labels: pl.Series) -> Read:
        roles = self._schema.roles
        labelled = labels.is_not_null()
        if roles.known_at is None or roles.known_at not in frame.columns:
            table = pl.DataFrame({"known": times + roles.delay_us, "labelled": labelled})
            known = table.select(pl.when("labelled").then("known").alias("known"))["known"]
            return Read(known, nothing(frame.height))
        known_at = without_missing(frame[roles.known_at])
        read = read_instants([known_at], self._written.times, roles.known_at)
        lacking = labelled & read.value.is_null() & read.problem.is_null()
        early = (labelled & (read.value < times)).fill_null(value=False)
        problems = or_else(read.problem, lacking, f"{roles.known_at} is missing beside a label")
        text = f"{roles.known_at} is {{}}, earlier than the row itself"
        table = pl.DataFrame({"known": read.value, "labelled": labelled})
        known = table.select(pl.when("labelled").then("known").alias("known"))["known"]
        return Read(known, first(problems, told(frame[roles.known_at], early, text)))

    def _row_ids(self, frame: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
        name = self._schema.roles.row_id
        if name is None:
            roles = self._schema.roles
            about_the_label = {roles.label, roles.known_at, *roles.item_labels}
            content = [one for one in frame.columns if one not in about_the_label]
            return self._ids.of_content(frame.select(content)), nothing(frame.height)
        ids = read_texts(frame[name], is_identifier=True, is_numeric=False)
        return ids, or_else(word_problems(name, ids), ids.is_null(), f"{name} is missing")

    def _entities(self, frame: pl.DataFrame, ids: pl.Series) -> Read:
        name = self._schema.roles.entity
        # its id's fault is told once
        if name is None or name == self._schema.roles.row_id:
            return Read(ids, nothing(frame.height))
        entities = read_texts(frame[name], is_identifier=True, is_numeric=False)
        # a row without an entity is independent of all others
        known = pl.select(pl.coalesce(entities, ids)).to_series()
        return Read(known, word_problems(name, entities))


def input_sources(declared: Declaration, present: Sequence[str], name: str) -> tuple[str, ...]:
    """The columns of a source that scoring reads, each once: no label; id, time, entity if there.

    Raises:
        DeclarationError: a declared column is not there, or is there more than once.
    """
    roles = declared.row_schema.roles
    wanted = {one.source: f"columns.{one.name}" for one in declared.row_schema.columns}
    _refuse_missing(wanted, present, name)
    about = (roles.row_id, roles.time, roles.entity)
    optional = [one for one in about if one is not None and one in present]
    return _once((*wanted, *optional), present, name)


def needed_sources(declared: Declaration, present: Sequence[str], name: str) -> tuple[str, ...]:
    """The columns of a source that are read, each once; those of the label where they exist.

    Raises:
        DeclarationError: a declared column is not there, or is there more than once.
    """
    schema, roles = declared.row_schema, declared.row_schema.roles
    wanted = {column.source: f"columns.{column.name}" for column in schema.columns}
    for key, source in (("row_id", roles.row_id), ("entity", roles.entity), ("time", roles.time)):
        if source is not None:
            wanted[source] = f"use_case.{key}"
    _refuse_missing(wanted, present, name)
    about_the_label = (roles.label, roles.known_at, *roles.item_labels)
    optional = [one for one in about_the_label if one and one in present]
    return _once((*wanted, *optional), present, name)


def _refuse_missing(wanted: Mapping[str, str], present: Sequence[str], name: str) -> None:
    missing = [f"{source!r} ({key})" for source, key in wanted.items() if source not in present]
    if missing:
        raise DeclarationError(
            f"{name} has no column {_some(missing)}; it has {_some(present)}: write its "
            "name as from, or remove it from usecase.toml"
        )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_COLUMNS
    return ", ".join(names[:_SHOWN_COLUMNS]) + (f" and {more:,} more" if more > 0 else "")


def _once(names: Sequence[str], present: Sequence[str], name: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(names))
    twice = [source for source in found if list(present).count(source) > 1]
    if twice:
        raise DeclarationError(
            f"{name}: column {twice[0]!r} is there {list(present).count(twice[0])} times: rename "
            "all but the one that is meant"
        )
    return found
