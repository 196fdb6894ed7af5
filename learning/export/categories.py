"""Categories: words become codes for training, and chains of equalities in the graph.

A vector holds a category as a number that stands for a word (its position, or a hash of its text).
The vocabulary gives each frequent one a code; rarer and unseen ones share one code. The graph has
no table: a split "these words go left" is a chain of nodes, one for each word of the smaller side,
that all lead to the same child. Runtimes read such a chain as it stands; set membership nodes have
crashed them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from learning.export.trees import CONTINUED, Floats32, Ints, Tree, floor32
from shared.usecase.serving import FloatMatrix

MAX_CODES = 254
"""Histogram boosting has 255 bins, one of them for missing values."""

MIN_ROWS = 10
"""A word of fewer training rows shares the code of unseen ones, which thus learns something."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Column -> its frequent values, in order; the position of a value is its code.

    Attributes:
        rows: how many training rows had each of them.
    """

    values: Mapping[int, Floats32]
    rows: Mapping[int, Ints]

    @classmethod
    def fit(cls, matrix: FloatMatrix, columns: tuple[int, ...]) -> "Vocabulary":
        """The values of these columns that are frequent enough."""
        values, rows = {}, {}
        for column in columns:
            found, counts = np.unique(
                matrix[~np.isnan(matrix[:, column]), column], return_counts=True
            )
            order = np.argsort(-counts, kind="stable")[: MAX_CODES - 1]
            kept = np.sort(order[counts[order] >= MIN_ROWS])
            values[column], rows[column] = found[kept], counts[kept].astype(np.int64)
        return cls(values, rows)

    def encode(self, matrix: FloatMatrix) -> FloatMatrix:
        """A copy with codes in place of values; missing stays missing."""
        coded = matrix.copy()
        for column, values in self.values.items():
            raw = matrix[:, column]
            place = np.searchsorted(values, raw)
            known = values[np.minimum(place, len(values) - 1)] == raw if len(values) else False
            codes = np.where(known, place, len(values)).astype(np.float32)
            coded[:, column] = np.where(np.isnan(raw), np.nan, codes)
        return coded


@dataclass(frozen=True, slots=True)
class _Test:
    """A categorical split as equalities: these values go one way, all others the other way."""

    values: Floats32
    hit: int
    miss: int
    missing_hits: bool


def from_boosting(predictor: Any, known: Any, vocabulary: Vocabulary, columns: Ints) -> Tree:
    """A tree of histogram gradient boosting that was fitted on `vocabulary.encode(matrix)`.

    Args:
        predictor: one of the estimator's `_predictors`.
        known: the categories each column had in training, from the bin mapper.
        vocabulary: what the categories of the fitted matrix stand for.
        columns: position in the served matrix of each feature the tree was fitted on.
    """
    nodes = predictor.nodes
    out = _Nodes.copied(nodes, columns)
    known_bits, row_of = known
    for place in np.flatnonzero(nodes["is_categorical"] & ~nodes["is_leaf"].astype(bool)):
        node = nodes[place]
        left = _bits(predictor.raw_left_cat_bitsets[node["bitset_idx"]])
        seen = _bits(known_bits[row_of[node["feature_idx"]]])
        column = int(columns[node["feature_idx"]])
        goes_left = np.where(seen, left, bool(node["missing_go_to_left"]))
        out.replace(int(place), column, _test(node, goes_left, vocabulary, column))
    return out.tree()


def _test(node: Any, goes_left: Bools, vocabulary: Vocabulary, column: int) -> _Test:
    values, rows = vocabulary.values[column], vocabulary.rows[column]
    unseen_left = bool(goes_left[len(values)])
    hits = goes_left[: len(values)] != unseen_left
    # the most frequent first: most rows leave the chain early
    order = np.argsort(-rows[hits], kind="stable")
    left, right = int(node["left"]), int(node["right"])
    hit, miss = (right, left) if unseen_left else (left, right)
    missing_left = bool(node["missing_go_to_left"])
    return _Test(values[hits][order], hit, miss, missing_left != unseen_left)


def _bits(words: npt.NDArray[np.uint32]) -> Bools:
    shifts = np.arange(32, dtype=np.uint32)
    return ((words[:, None] >> shifts) & 1).astype(np.bool_).reshape(-1)


class _Nodes:
    """The arrays of a tree while chains are being added to it."""

    def __init__(self, count: int) -> None:
        self.feature: list[int] = [0] * count
        self.threshold: list[float] = [0.0] * count
        self.left: list[int] = [0] * count
        self.right: list[int] = [0] * count
        self.missing_left: list[bool] = [False] * count
        self.leaf: list[bool] = [False] * count
        self.value: list[float] = [0.0] * count
        self.equal: list[bool] = [False] * count
        self.cover: list[float] = [0.0] * count

    @classmethod
    def copied(cls, nodes: Any, columns: Ints) -> "_Nodes":
        leaf = nodes["is_leaf"].astype(bool)
        made = cls(0)
        made.feature = np.where(leaf, 0, columns[np.where(leaf, 0, nodes["feature_idx"])]).tolist()
        made.threshold = np.where(leaf, np.float32(0), floor32(nodes["num_threshold"])).tolist()
        made.left = np.where(leaf, 0, nodes["left"]).tolist()
        made.right = np.where(leaf, 0, nodes["right"]).tolist()
        made.missing_left = nodes["missing_go_to_left"].astype(bool).tolist()
        made.leaf = leaf.tolist()
        made.value = nodes["value"].tolist()
        made.equal = [False] * len(leaf)
        made.cover = nodes["count"].tolist()
        return made

    def replace(self, place: int, column: int, test: _Test) -> None:
        """Turn a node into a chain; its first link stays where the node was."""
        self.feature[place] = column
        if not len(test.values):
            self._split_off_missing(place, test)
            return
        chain = [place, *range(len(self.leaf), len(self.leaf) + len(test.values) - 1)]
        for value, here, following in zip(test.values, chain, [*chain[1:], test.miss], strict=True):
            if here == len(self.leaf):
                self._grow(column)
            self.threshold[here], self.equal[here] = float(value), True
            self.left[here], self.right[here] = test.hit, following
            self.missing_left[here] = test.missing_hits and here == place

    def _split_off_missing(self, place: int, test: _Test) -> None:
        """Splits missing values off: they alone, or no value at all, go the other way."""
        self.threshold[place] = float("inf")
        self.left[place], self.right[place] = test.miss, test.hit
        self.missing_left[place] = not test.missing_hits

    def _grow(self, column: int) -> None:
        self.feature.append(column)
        self.cover.append(CONTINUED)
        for numbers in (self.threshold, self.value):
            numbers.append(0.0)
        for places in (self.left, self.right):
            places.append(0)
        for flags in (self.missing_left, self.leaf, self.equal):
            flags.append(False)

    def tree(self) -> Tree:
        return Tree(
            feature=np.array(self.feature, dtype=np.int64),
            threshold=np.array(self.threshold, dtype=np.float32),
            left=np.array(self.left, dtype=np.int64),
            right=np.array(self.right, dtype=np.int64),
            missing_left=np.array(self.missing_left, dtype=np.bool_),
            leaf=np.array(self.leaf, dtype=np.bool_),
            value=np.array(self.value, dtype=np.float32),
            equal=np.array(self.equal, dtype=np.bool_),
            cover=np.array(self.cover, dtype=np.float32),
        )
