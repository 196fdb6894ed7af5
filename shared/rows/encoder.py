"""The encoder of one row: values to a float32 vector, with closures made once per schema.

Each float32 is a slot: it stands for a column, and says how it is to be read. `shared.rows.frames`
does the same for a whole DataFrame; a test holds both to the same bits. Nothing is fitted, so
nothing has to be shared between training and serving: a word of an open category becomes a hash of
its text.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b, sha256
from operator import itemgetter

import numpy as np

from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR, to_datetime
from shared.rows.schema import Column, Kind, MomentPart, Row, RowSchema, Value
from shared.usecase.serving import FeatureSet, FloatMatrix, FloatVector


class SlotKind(StrEnum):
    """The meaning of a slot for a model: a quantity, or a category code."""

    NUMBER = "number"
    INDEX = "index"
    HASH = "hash"


@dataclass(frozen=True, slots=True)
class Slot:
    """One float32 of the vector.

    Attributes:
        column: the declared column it stands for.
        position: which hash of the word, for an open category.
        part: what of the moment.
        words: the words of an INDEX in order; empty otherwise.
    """

    name: str
    column: str
    kind: SlotKind
    position: int = 0
    part: MomentPart | None = None
    words: tuple[str, ...] = ()

    @property
    def is_categorical(self) -> bool:
        return self.kind is not SlotKind.NUMBER


def slots_of(schema: RowSchema) -> tuple[Slot, ...]:
    """The vector of a schema, in the order of its columns."""
    return tuple(slot for column in schema.columns for slot in _of_column(column))


def encoding_version(schema: RowSchema) -> str:
    """Changes whenever a vector would mean something else; recorded with every model."""
    listed = [
        (slot.name, slot.kind.value, slot.position, slot.part or "", *slot.words)
        for slot in slots_of(schema)
    ]
    defaults = [(column.name, column.default) for column in schema.columns]
    digest = sha256(repr((listed, defaults)).encode()).hexdigest()
    return f"{schema.version}-{digest[:12]}"


def _of_column(column: Column) -> tuple[Slot, ...]:
    name = column.name
    if column.kind is Kind.MOMENT:
        return tuple(
            Slot(f"{name}_{part}", name, SlotKind.NUMBER, part=part) for part in column.parts
        )
    if column.kind is not Kind.CATEGORY:
        return (Slot(name, name, SlotKind.NUMBER),)
    if column.values:
        return (Slot(name, name, SlotKind.INDEX, words=column.values),)
    second = (Slot(f"{name}_2", name, SlotKind.HASH, 1),) if column.hash_slots > 1 else ()
    return (Slot(name, name, SlotKind.HASH, 0), *second)


HASH_BITS = 24
BYTES_PER_SLOT = HASH_BITS // 8
MAX_SLOTS = 2
WORDS_PER_SLOT = 1_000
"""Above this many words one slot is too likely to give two of them the same hash."""


def word_hashes(word: str) -> tuple[int, int]:
    """Two independent hashes of a word, each in [0, 2**24)."""
    digest = blake2b(word.encode(), digest_size=MAX_SLOTS * BYTES_PER_SLOT).digest()
    return int.from_bytes(digest[:BYTES_PER_SLOT]), int.from_bytes(digest[BYTES_PER_SLOT:])


def slots_for(words: int) -> int:
    """The number of slots for a category of this many words."""
    return 1 if words <= WORDS_PER_SLOT else MAX_SLOTS


def colliding_words(words: Iterable[str], slots: int) -> Mapping[str, str]:
    """Words that are encoded exactly like an earlier one: word -> the earlier word."""
    first: dict[tuple[int, ...], str] = {}
    duplicates: dict[str, str] = {}
    for word in words:
        earlier = first.setdefault(word_hashes(word)[:slots], word)
        if earlier != word:
            duplicates[word] = earlier
    return duplicates


_Special = Callable[[Value, int], float | None]
# Hashed words that are cached; a column with more distinct words is not categorical.
_REMEMBERED_WORDS = 4_096


class RowEncoder:
    """Turns rows of one schema into vectors."""

    def __init__(self, schema: RowSchema) -> None:
        self.slots = slots_of(schema)
        place = {name: at for at, name in enumerate(schema.names)}
        sources = [place[slot.column] for slot in self.slots]
        # itemgetter with one position returns a value instead of a tuple
        self._pick = itemgetter(*sources) if len(sources) > 1 else itemgetter(slice(0, 1))
        self._specials = [
            (at, special)
            for at, slot in enumerate(self.slots)
            if (special := _special(slot)) is not None
        ]
        self._defaults = [
            (at, column.default)
            for at, column in enumerate(schema.columns)
            if column.default is not None
        ]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(slot.name for slot in self.slots)

    def vector(self, row: Row) -> FloatVector:
        """The vector of one row."""
        return np.array(self._numbers(row), dtype=np.float32)

    def matrix(self, rows: Sequence[Row]) -> FloatMatrix:
        """The vectors of several rows, (rows, slots)."""
        numbers = [self._numbers(row) for row in rows]
        return np.array(numbers, dtype=np.float32).reshape(len(rows), len(self.slots))

    def _numbers(self, row: Row) -> Sequence[Value]:
        """The values as numpy converts them to float32: numbers and flags kept, None as NaN."""
        values = row.values
        if self._defaults:
            values = list(values)
            for at, default in self._defaults:
                if values[at] is None:
                    values[at] = default
        numbers = list(self._pick(values))
        time_us = row.event_time_us
        for at, special in self._specials:
            numbers[at] = special(numbers[at], time_us)
        return numbers


def feature_set_of(schema: RowSchema) -> FeatureSet:
    """The vector as the services know features: each column is a group that can be switched off."""
    slots = slots_of(schema)
    return FeatureSet(
        version=encoding_version(schema),
        names=tuple(slot.name for slot in slots),
        groups={slot.name: slot.column for slot in slots},
        categories=frozenset(slot.name for slot in slots if slot.is_categorical),
    )


def _special(slot: Slot) -> _Special | None:
    if slot.kind is SlotKind.INDEX:
        index = {word: float(at) for at, word in enumerate(slot.words)}.get
        return lambda word, _time_us: index(word)  # type: ignore[arg-type]
    if slot.kind is SlotKind.HASH:
        return _hash(slot.position)
    if slot.part is not None:
        return _PARTS[slot.part]
    return None


def _hash(position: int) -> _Special:
    known: dict[Value, float | None] = {None: None}

    def hashed(word: Value, _time_us: int) -> float | None:
        try:
            return known[word]
        except KeyError:
            found = float(word_hashes(str(word))[position])
            if len(known) < _REMEMBERED_WORDS:
                known[word] = found
            return found

    return hashed


def _age_days(moment: Value, time_us: int) -> float | None:
    return None if moment is None else float(time_us - int(moment)) / MICROS_PER_DAY


def _hour(moment: Value, _time_us: int) -> float | None:
    return None if moment is None else float(int(moment) // MICROS_PER_HOUR % 24)


def _weekday(moment: Value, _time_us: int) -> float | None:
    """Monday is 0; 1970-01-01 was a Thursday."""
    return None if moment is None else float((int(moment) // MICROS_PER_DAY + 3) % 7)


def _calendar(part: str) -> _Special:
    def read(moment: Value, _time_us: int) -> float | None:
        return None if moment is None else float(getattr(to_datetime(int(moment)), part))

    return read


_PARTS: dict[MomentPart, _Special] = {
    MomentPart.AGE_DAYS: _age_days,
    MomentPart.HOUR: _hour,
    MomentPart.WEEKDAY: _weekday,
    MomentPart.DAY: _calendar("day"),
    MomentPart.MONTH: _calendar("month"),
    MomentPart.YEAR: _calendar("year"),
}
