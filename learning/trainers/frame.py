"""Vectors as the DataFrame that a custom estimator is fitted on, and as graph inputs.

The frame is made of the vectors and not of the stored rows: the estimator's training input is bit
for bit the graph's input. Numbers are rounded to float32; a missing number is NaN, a missing word
the empty text (ONNX has no missing texts), a word that training has not seen is `(unseen)` in the
graph and itself in a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from learning.export.graph import INPUT, Builder
from learning.trainers.request import InputColumn
from shared.usecase.serving import FloatMatrix

if TYPE_CHECKING:
    import pandas as pd

MISSING_WORD, UNSEEN_WORD = "", "(unseen)"


@dataclass(frozen=True, slots=True)
class FrameColumn:
    """One column of the frame; `place` is its position in the vector."""

    name: str
    place: int
    column: InputColumn


def frame_columns(columns: Sequence[InputColumn]) -> tuple[FrameColumn, ...]:
    """A column for each that is declared; a second hash of the same word is omitted."""
    found: dict[str, FrameColumn] = {}
    for place, column in enumerate(columns):
        name = column.field or column.name if column.is_category else column.name
        found.setdefault(name, FrameColumn(name, place, column))
    return tuple(found.values())


def to_frame(matrix: FloatMatrix, columns: Sequence[InputColumn]) -> "pd.DataFrame":
    """The rows with their declared names: float64 numbers, text for categories."""
    import pandas as pd  # noqa: PLC0415 - only estimators of a person's own need it

    return pd.DataFrame(
        {
            item.name: _words(matrix[:, item.place], item.column)
            if item.column.is_category
            else matrix[:, item.place].astype(np.float64)
            for item in frame_columns(columns)
        }
    )


def _words(values: FloatMatrix, column: InputColumn) -> Any:
    distinct, place = np.unique(values, return_inverse=True)
    columns_named = [
        MISSING_WORD if np.isnan(value) else column.words.get(float(value), UNSEEN_WORD)
        for value in distinct
    ]
    return np.array(columns_named, dtype=object)[place.reshape(-1)]


def add_frame_inputs(builder: Builder, columns: Sequence[InputColumn]) -> dict[str, str]:
    """Nodes that split `features` into the frame's columns; frame name -> tensor."""
    return {
        item.name: _words_node(builder, item) if item.column.is_category else _cut(builder, item)
        for item in frame_columns(columns)
    }


def _cut(builder: Builder, item: FrameColumn) -> str:
    place = builder.constant(f"input_{item.place}_at", [item.place], np.int64)
    return builder.add("Gather", [INPUT, place], f"input_{item.place}", axis=1)


def _words_node(builder: Builder, item: FrameColumn) -> str:
    """The vocabulary: number -> word, a missing one distinguished from an unseen one."""
    number = _cut(builder, item)
    words = f"input_{item.place}_words"
    known = dict(sorted(item.column.words.items()))
    builder.add_ml(
        "LabelEncoder", [number], f"{words}_known",
        keys_floats=[float(key) for key in known] or [-1.0],
        values_strings=list(known.values()) or [UNSEEN_WORD],
        default_string=UNSEEN_WORD,
    )  # fmt: skip
    missing = builder.add("IsNaN", [number], f"{words}_missing")
    empty = builder.text(f"{words}_empty", MISSING_WORD)
    return builder.add("Where", [missing, empty, f"{words}_known"], words)
