"""Exact TreeSHAP of one row without tables: large forests, asked about now and then; compiled.

The same sums as `tree_shap`, leaf by leaf along the way from the root. It holds no interpreter
lock while it works, so requests that are scored meanwhile are not delayed.
"""

import numpy as np
import numpy.typing as npt

from native.compiled import compiled
from shared.explain.ensemble import (
    Ensemble,
    Flags,
    Floats,
    Ints,
    Nodes,
    NotExplainable,
    exits_of,
)
from shared.explain.tree_shap import decide, leaf_parts
from shared.usecase.serving import FloatVector

DEEPEST = 256
"""Questions on a way; a deeper tree is refused before it is walked."""


def exits(nodes: Nodes) -> tuple[Ints, Ints]:
    """The two targets of each question; without chains of equalities, those of the nodes."""
    return exits_of(nodes) if (nodes.cover < 0).any() else (nodes.left, nodes.right)


def expected_values(ensemble: Ensemble) -> Floats:
    """The raw scores of a row of which nothing is known."""
    nodes, roots = ensemble.nodes, ensemble.roots
    size = len(nodes.feature)
    tree_of = np.repeat(np.arange(len(roots)), np.diff([*roots, size]))
    share = np.where(nodes.is_leaf, nodes.cover, 0.0) / nodes.cover[roots][tree_of]
    of_tree = np.bincount(tree_of, weights=share * nodes.value, minlength=len(roots))
    sums = np.bincount(ensemble.target, weights=of_tree, minlength=len(ensemble.base))
    found: Floats = ensemble.base + sums
    return found


def add_contributions(
    ensemble: Ensemble,
    sides: tuple[Ints, Ints],
    trees: npt.NDArray[np.int64],
    row: FloatVector,
    into: Floats,
) -> None:
    """Add what each feature contributes to the sum of some trees."""
    ends = np.append(ensemble.roots[1:], len(ensemble.nodes.feature))
    spans = np.column_stack([ensemble.roots, ends])[trees]
    if not _add(ensemble.nodes, sides, spans, row, into):
        raise NotExplainable("its trees are too deep, or no trees")


def refuse_strange_places(ensemble: Ensemble, width: int) -> None:
    """Compiled code checks no index, so that every node has to lead to a node of this ensemble.

    Raises:
        NotExplainable: a node leads elsewhere, or asks about a feature that there is none of.
    """
    nodes, size = ensemble.nodes, len(ensemble.nodes.feature)
    asks = ~nodes.is_leaf
    for places, count in ((nodes.left, size), (nodes.right, size), (nodes.feature, width)):
        used = places[asks]
        if len(used) and (used.min() < 0 or used.max() >= count):
            raise NotExplainable("a node of its trees leads out of them")


@compiled
def _add(
    nodes: Nodes,
    sides: tuple[Ints, Ints],
    spans: npt.NDArray[np.int64],
    row: FloatVector,
    into: Floats,
) -> bool:
    decided = np.zeros(len(nodes.feature), dtype=np.bool_)
    for tree in range(len(spans)):
        begin, end = spans[tree, 0], spans[tree, 1]
        decide(nodes, (begin, end), row, decided)
        if not _walk(nodes, sides, begin, decided, into):
            return False
    return True


@compiled
def _walk(nodes: Nodes, sides: tuple[Ints, Ints], root: int, decided: Flags, into: Floats) -> bool:
    """Every leaf of one tree; `waiting` holds nodes with the number of questions above them.

    False: it has more nodes than there are, so it is not a tree, or it is too deep.
    """
    visits_left = len(nodes.feature)
    waiting = np.empty((2 * DEEPEST, 2), dtype=np.int64)
    # for each depth: the feature tested, the share of training rows on the path, and whether
    # this row is on it
    asked = np.empty(DEEPEST, dtype=np.int64)
    share = np.empty(DEEPEST)
    goes = np.empty(DEEPEST)
    above = np.empty(2 * DEEPEST, dtype=np.int64)
    side = np.empty(2 * DEEPEST, dtype=np.int64)
    waiting[0, 0], waiting[0, 1] = root, 0
    above[0], side[0] = -1, 0
    count = 1
    while count:
        count -= 1
        visits_left -= 1
        here, depth = waiting[count, 0], waiting[count, 1]
        if visits_left < 0 or depth >= DEEPEST:
            return False
        if depth:
            parent = above[count]
            cover = nodes.cover[parent]
            asked[depth - 1] = nodes.feature[parent]
            share[depth - 1] = nodes.cover[here] / cover if cover else 0.0
            goes[depth - 1] = 1.0 if decided[parent] == (side[count] == 0) else 0.0
        if nodes.is_leaf[here]:
            _add_leaf(nodes.value[here], asked[:depth], share[:depth], goes[:depth], into)
            continue
        for which in range(2):
            child = sides[0][here] if which == 0 else sides[1][here]
            waiting[count, 0], waiting[count, 1] = child, depth + 1
            above[count], side[count] = here, which
            count += 1
    return True


@compiled
def _add_leaf(
    value: float, asked: npt.NDArray[np.int64], share: Floats, goes: Floats, into: Floats
) -> None:
    """One leaf: questions about one feature are one entry."""
    size = len(asked)
    features = np.empty(size, dtype=np.int64)
    shares, followed = np.ones(size), np.ones(size)
    entries = 0
    for step in range(size):
        place = 0
        while place < entries and features[place] != asked[step]:
            place += 1
        if place == entries:
            features[place] = asked[step]
            entries += 1
        shares[place] *= share[step]
        followed[place] *= goes[step]
    parts = np.empty(entries)
    leaf_parts(shares[:entries], followed[:entries], np.empty(entries + 1), parts)
    for place in range(entries):
        into[features[place]] += parts[place] * value
