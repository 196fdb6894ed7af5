"""Every leaf's way from the root, made once for a model: which questions, on which features.

A feature that is asked several times on a way is one entry: the share of training rows that go
along is the product over its questions, and a row goes along if it does so at each of them.
"""

from typing import NamedTuple

import numpy as np

from shared.explain.ensemble import Ensemble, Flags, Floats, Ints, Nodes, exits_of


class Paths(NamedTuple):
    """Leaves of all trees, tree by tree.

    Attributes:
        tree_nodes: where the nodes of each tree begin; one more than there are trees.
        tree_leaves: where the leaves of each tree begin; one more than there are trees.
        value: of each leaf.
        entries: where the entries of each leaf begin; one more than there are leaves.
        feature: of each entry.
        share: of training rows that go along at all questions of the entry.
        steps: where the questions of each leaf begin; one more than there are leaves.
        node: the question.
        goes_left: whether this way goes left there.
        entry: which entry of its leaf the question belongs to, from 0.
    """

    tree_nodes: Ints
    tree_leaves: Ints
    value: Floats
    entries: Ints
    feature: Ints
    share: Floats
    steps: Ints
    node: Ints
    goes_left: Flags
    entry: Ints


class _Step(NamedTuple):
    node: int
    left: bool
    share: float


class _Ways:
    """Collects the leaves of one tree after another."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._left, self._right = exits_of(nodes)
        self.tree_leaves, self.entries, self.steps = [0], [0], [0]
        self.value: list[float] = []
        self.feature: list[int] = []
        self.share: list[float] = []
        self.node: list[int] = []
        self.goes_left: list[bool] = []
        self.entry: list[int] = []

    def add_tree(self, root: int) -> None:
        waiting: list[tuple[int, tuple[_Step, ...]]] = [(root, ())]
        while waiting:
            here, way = waiting.pop()
            if self._nodes.is_leaf[here]:
                self._add_leaf(here, way)
                continue
            for to, left in ((self._right[here], False), (self._left[here], True)):
                waiting.append((int(to), (*way, self._step(here, int(to), left=left))))
        self.tree_leaves.append(len(self.value))

    def _step(self, here: int, to: int, *, left: bool) -> _Step:
        came = self._nodes.cover[here]
        return _Step(here, left, float(self._nodes.cover[to] / came) if came else 0.0)

    def _add_leaf(self, leaf: int, way: tuple[_Step, ...]) -> None:
        places: dict[int, int] = {}
        products: list[float] = []
        for step in way:
            asked = int(self._nodes.feature[step.node])
            if asked not in places:
                places[asked] = len(places)
                products.append(1.0)
            products[places[asked]] *= step.share
            self.entry.append(places[asked])
            self.node.append(step.node)
            self.goes_left.append(step.left)
        self.feature.extend(places)
        self.share.extend(products)
        self.value.append(float(self._nodes.value[leaf]))
        self.entries.append(len(self.feature))
        self.steps.append(len(self.node))


def paths_of(ensemble: Ensemble) -> Paths:
    """All ways of all trees."""
    ways = _Ways(ensemble.nodes)
    for root in ensemble.roots:
        ways.add_tree(int(root))
    return Paths(
        tree_nodes=np.append(ensemble.roots, len(ensemble.nodes.feature)).astype(np.int32),
        tree_leaves=np.array(ways.tree_leaves, dtype=np.int32),
        value=np.array(ways.value, dtype=np.float64),
        entries=np.array(ways.entries, dtype=np.int32),
        feature=np.array(ways.feature, dtype=np.int32),
        share=np.array(ways.share, dtype=np.float64),
        steps=np.array(ways.steps, dtype=np.int32),
        node=np.array(ways.node, dtype=np.int32),
        goes_left=np.array(ways.goes_left, dtype=np.bool_),
        entry=np.array(ways.entry, dtype=np.int32),
    )
