"""Exact TreeSHAP over the training rows' own shares (path-dependent), leaf by leaf; compiled.

Lundberg, Erion & Lee, "Consistent individualized feature attribution for tree ensembles" (2018),
algorithm 2: what a leaf adds to a feature's Shapley value, from the shares of rows that go its
way at each feature's questions (z) and whether this row does (o, 0 or 1). The polynomial of the
features' subsets is extended by one entry after the other, and unwound by each.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from native.compiled import compiled
from shared.explain.ensemble import Flags, Floats, Nodes
from shared.explain.paths import Paths
from shared.usecase.serving import FloatMatrix, FloatVector

MAX_PATTERN = 7
"""Leaves with up to this many entries are looked up: 128 patterns of 7 numbers at most."""

MAX_TABLE_VALUES = 4_000_000


class PathTable(NamedTuple):
    """The trees of one raw score, with precomputed tables of their leaves.

    Attributes:
        at: where the leaf's patterns begin in `values`; below 0: it is too long.
    """

    trees: npt.NDArray[np.int64]
    at: npt.NDArray[np.int64]
    values: Floats


def table_of(paths: Paths) -> tuple[npt.NDArray[np.int64], Floats]:
    """`at` and `values` for all leaves; a model whose table would be too large has none."""
    size = np.diff(paths.entries).astype(np.int64)
    cells = np.where(size <= MAX_PATTERN, size << np.minimum(size, MAX_PATTERN), 0)
    if cells.sum() > MAX_TABLE_VALUES:
        return np.full(len(size), -1, dtype=np.int64), np.zeros(1)
    at = np.where(size <= MAX_PATTERN, np.cumsum(cells) - cells, -1)
    values = np.zeros(max(int(cells.sum()), 1))
    fill_table(paths, at, values)
    return at, values


@compiled
def decide(nodes: Nodes, span: tuple[int, int], row: FloatVector, decided: Flags) -> None:
    """True if this row goes left, for every question of a tree; a chain is one question."""
    # fields are read once: each access to an array in a tuple updates its reference count
    feature, threshold, is_equality = nodes.feature, nodes.threshold, nodes.is_equality
    right, missing_left, is_leaf, cover = (
        nodes.right,
        nodes.missing_left,
        nodes.is_leaf,
        nodes.cover,
    )
    for question in range(span[0], span[1]):
        if is_leaf[question] or cover[question] < 0:
            continue
        value = row[feature[question]]
        if np.isnan(value):
            decided[question] = missing_left[question]
        elif not is_equality[question]:
            decided[question] = value <= threshold[question]
        else:
            here, left = question, False
            while not left and (here == question or cover[here] < 0):
                left = value == threshold[here]
                here = right[here]
            decided[question] = left


@compiled
def _extend(share: float, goes: float, depth: int, weights: Floats) -> None:
    """One more entry: subsets of this many entries weigh accordingly."""
    weights[depth] = 0.0
    part = 1.0 / (depth + 1)
    for k in range(depth - 1, -1, -1):
        weights[k + 1] += goes * weights[k] * (k + 1) * part
        weights[k] *= share * (depth - k) * part


@compiled
def _unwound(share: float, goes: float, size: int, weights: Floats) -> float:
    """The sum of the weights without one of the entries."""
    total, scale = 0.0, size + 1.0
    if goes > 0.0:
        following = weights[size]
        for k in range(size - 1, -1, -1):
            part = following * scale / (k + 1)
            total += part
            following = weights[k] - part * share * (size - k) / scale
        return total
    for k in range(size - 1, -1, -1):
        total += weights[k] / (size - k)
    return total * scale / share


@compiled
def leaf_parts(shares: Floats, goes: Floats, weights: Floats, into: Floats) -> None:
    """The contribution of a leaf of value 1 to each of its entries, given those a row follows."""
    size = len(shares)
    weights[0] = 1.0
    for k in range(size):
        if shares[k] == 0.0 and goes[k] == 0.0:
            into[:] = 0.0  # no row of any subset reaches this node
            return
        _extend(shares[k], goes[k], k + 1, weights)
    for k in range(size):
        into[k] = _unwound(shares[k], goes[k], size, weights) * (goes[k] - shares[k])


@compiled
def fill_table(paths: Paths, table_at: npt.NDArray[np.int64], table: Floats) -> None:
    """The parts of every leaf that has a place in the table, for every pattern of entries."""
    goes, weights = np.empty(MAX_PATTERN), np.empty(MAX_PATTERN + 1)
    for leaf in range(len(paths.value)):
        first = paths.entries[leaf]
        size = paths.entries[leaf + 1] - first
        if table_at[leaf] < 0:
            continue
        for pattern in range(1 << size):
            for k in range(size):
                goes[k] = float((pattern >> k) & 1)
            begin = table_at[leaf] + pattern * size
            into = table[begin : begin + size]
            leaf_parts(paths.share[first : first + size], goes, weights, into)
            for k in range(size):
                into[k] *= paths.value[leaf]


@compiled
def add_contributions(
    nodes: Nodes, paths: Paths, parts: PathTable, row: FloatVector, into: Floats
) -> None:
    """Add to each feature what it contributes to the sum of some trees for one row."""
    entries, steps, node = paths.entries, paths.steps, paths.node
    entry, goes_left, feature = paths.entry, paths.goes_left, paths.feature
    tree_nodes, tree_leaves = paths.tree_nodes, paths.tree_leaves
    table_at, table = parts.at, parts.values
    decided = np.zeros(len(nodes.feature), dtype=np.bool_)
    for tree in parts.trees:
        decide(nodes, (tree_nodes[tree], tree_nodes[tree + 1]), row, decided)
        for leaf in range(tree_leaves[tree], tree_leaves[tree + 1]):
            if table_at[leaf] < 0:
                _add_long(paths, leaf, decided, into)
                continue
            first = entries[leaf]
            size = entries[leaf + 1] - first
            pattern = (1 << size) - 1
            for step in range(steps[leaf], steps[leaf + 1]):
                pattern &= ~(int(decided[node[step]] != goes_left[step]) << entry[step])
            begin = table_at[leaf] + pattern * size
            for k in range(size):
                into[feature[first + k]] += table[begin + k]


@compiled
def _add_long(paths: Paths, leaf: int, decided: Flags, into: Floats) -> None:
    """A leaf with too many entries for the table."""
    first, last = paths.entries[leaf], paths.entries[leaf + 1]
    goes, found = np.ones(last - first), np.empty(last - first)
    for step in range(paths.steps[leaf], paths.steps[leaf + 1]):
        if decided[paths.node[step]] != paths.goes_left[step]:
            goes[paths.entry[step]] = 0.0
    leaf_parts(paths.share[first:last], goes, np.empty(last - first + 1), found)
    for k in range(last - first):
        into[paths.feature[first + k]] += found[k] * paths.value[leaf]


@compiled
def add_contributions_of_rows(
    nodes: Nodes, paths: Paths, parts: PathTable, rows: FloatMatrix, into: Floats
) -> None:
    """The same for many rows; `into` has one row for each."""
    for place in range(len(rows)):
        add_contributions(nodes, paths, parts, rows[place], into[place])


@compiled
def expected_value(paths: Paths, trees: npt.NDArray[np.int64]) -> float:
    """The sum of these trees for a row of which nothing is known."""
    total = 0.0
    for tree in trees:
        for leaf in range(paths.tree_leaves[tree], paths.tree_leaves[tree + 1]):
            weight = paths.value[leaf]
            for entry in range(paths.entries[leaf], paths.entries[leaf + 1]):
                weight *= paths.share[entry]
            total += weight
    return total
