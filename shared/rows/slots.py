"""Slots of a vector: which float32 stands for which column, and how it is to be read."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from shared.rows.schema import Column, Kind, MomentPart, RowSchema


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
    digest = hashlib.sha256(repr((listed, defaults)).encode()).hexdigest()
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
