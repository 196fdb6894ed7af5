"""Compares the exported graph with the fitted models; rows on a split are counted separately."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from learning.export.graph import INPUT, OUTPUT
from learning.export.trees import SummedTrees, thresholds
from shared.errors import TrainingFailed
from shared.usecase.serving import FloatMatrix

TOLERANCE = 1e-5


class FittedComponent(Protocol):
    """A fitted component in its own library's arithmetic."""

    def score(self, matrix: FloatMatrix) -> npt.NDArray[np.float64]: ...


@dataclass(frozen=True, slots=True)
class Parity:
    """The result of a comparison.

    Attributes:
        largest_difference: over all rows and components; NaN when any score is NaN.
        rows_on_a_split: rows with a value that is exactly some tree's threshold.
        differing_rows: rows that differ by more than the tolerance.
        differing_rows_on_a_split: those of them that lie on a threshold.
    """

    rows: int
    largest_difference: float
    rows_on_a_split: int
    differing_rows: int
    differing_rows_on_a_split: int


def run_graph(graph: bytes, matrix: FloatMatrix) -> FloatMatrix:
    """Scores of a graph, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    scores: FloatMatrix = session.run([OUTPUT], {INPUT: matrix})[0]
    return scores


def compare(
    components: Sequence[FittedComponent],
    targets: Sequence[SummedTrees],
    graph: bytes,
    matrix: FloatMatrix,
    wide: FloatMatrix | None = None,
) -> Parity:
    """Score the same rows both ways; `wide` is what the trees read of them."""
    native = np.column_stack([component.score(matrix) for component in components])
    on_a_split = rows_on_a_split(targets, matrix if wide is None else wide)
    return compare_scores(native, run_graph(graph, matrix), on_a_split)


def compare_scores(
    native: npt.NDArray[np.float64],
    of_graph: FloatMatrix,
    on_a_split: npt.NDArray[np.bool_],
    tolerance: float | npt.NDArray[np.float64] = TOLERANCE,
) -> Parity:
    """Compare (rows, scores) of both; `tolerance` is one number, or one a row."""
    if native.shape != of_graph.shape:
        raise TrainingFailed(f"export: the graph answers {of_graph.shape}, not {native.shape}")
    difference = np.abs(native - of_graph).max(axis=1, initial=0.0)
    # `~(<=)` instead of `>`: NaN on either side counts as a difference.
    differs = ~(difference <= tolerance)
    return Parity(
        rows=len(native),
        largest_difference=float(difference.max(initial=0.0)),
        rows_on_a_split=int(on_a_split.sum()),
        differing_rows=int(differs.sum()),
        differing_rows_on_a_split=int((differs & on_a_split).sum()),
    )


def require(parity: Parity) -> None:
    """Let a candidate go on only if its graph is its models.

    Raises:
        TrainingFailed: rows that lie on no split have other scores in the graph.
    """
    unexplained = parity.differing_rows - parity.differing_rows_on_a_split
    if unexplained:
        raise TrainingFailed(
            f"export: {unexplained} of {parity.rows} rows score differently in the graph, "
            f"by up to {parity.largest_difference:.3g}"
        )


def rows_on_a_split(targets: Sequence[SummedTrees], matrix: FloatMatrix) -> npt.NDArray[Any]:
    """The rows that hold a value equal to a threshold of some tree."""
    found = np.zeros(len(matrix), dtype=np.bool_)
    for feature, values in thresholds(targets).items():
        found |= np.isin(matrix[:, feature], values)
    return found
