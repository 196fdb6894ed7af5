"""The tree ensemble of a served graph as flat arrays; no training library is needed to read it.

Nodes know how many training rows came to them (`nodes_hitrates`); a node with a negative number
goes on with the question of the node above it: a categorical split is a chain of equalities,
and stays one question here.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shared.bundle.graph import model_class

ENSEMBLE = b"TreeEnsembleRegressor"
_FINAL = {b"Sigmoid", b"Softmax", b"Exp", b"Identity", b"Concat"}
"""Operators allowed after the trees: each is monotonic in the trees' sum."""

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class NotExplainable(ValueError):
    """The graph has no trees whose contributions are those of its scores; says why."""


class Nodes(NamedTuple):
    """All nodes of all trees; children are positions in these arrays."""

    feature: Ints
    threshold: npt.NDArray[np.float32]
    is_equality: Flags
    is_leaf: Flags
    left: Ints
    right: Ints
    missing_left: Flags
    cover: Floats
    value: Floats


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Trees, each of which adds to one raw score.

    Attributes:
        roots: position of the first node of every tree.
        target: which raw score each tree adds to.
        base: what is added to each raw score.
        output: the name of the tensor with the raw scores.
    """

    nodes: Nodes
    roots: Ints
    target: Ints
    base: Floats
    output: bytes


def read_ensemble(graph: bytes) -> Ensemble:
    """The one explained ensemble of a served graph.

    Raises:
        NotExplainable: it has none, or more than one, or something else has a part in the scores.
    """
    model = model_class().FromString(graph)
    found = [node for node in model.graph.node if node.op_type == ENSEMBLE]
    with_rows = [node for node in found if has_covers(node)]
    if len(with_rows) > 1:
        # leaves out e.g. an outlier score, which is not monotonic in its trees
        with_rows = [node for node in with_rows if _is_whole(model.graph.node, node)] or with_rows
    if len(with_rows) != 1:
        raise NotExplainable(
            f"{len(with_rows)} tree ensembles store rows of each node, one is needed: "
            "explanations are those of gradient_boosting"
        )
    if with_rows[0].input[0] != model.graph.input[0].name:
        raise NotExplainable("its trees read something else than the features")
    _refuse_blends(model.graph.node, with_rows[0].output[0])
    return ensemble_of(with_rows[0])


def _is_whole(nodes: Any, ensemble: Any) -> bool:
    try:
        _refuse_blends(nodes, ensemble.output[0])
    except NotExplainable:
        return False
    return True


def _refuse_blends(nodes: Any, raw: bytes) -> None:
    """Whatever reads the raw scores must be a rising function of each of them."""
    tensors = {raw}
    for node in nodes:
        if not tensors & set(node.input):
            continue
        if node.op_type in _FINAL or node.op_type == b"MatMul":
            tensors |= set(node.output)
            continue
        if node.op_type == b"Sub":  # Sub: one minus the probability of the other class
            continue
        name = node.op_type.decode(errors="replace")
        raise NotExplainable(f"{name} mixes the trees with something else")


def has_covers(node: Any) -> bool:
    """True if an ensemble records how many training rows reached its nodes."""
    return _attribute(node, b"nodes_hitrates") is not None


def ensemble_of(node: Any) -> Ensemble:
    """The trees of one node of a graph.

    Raises:
        NotExplainable: they are not what is read here.
    """
    values = {item.name: _values(item) for item in node.attribute}
    trees = np.array(values[b"nodes_treeids"], dtype=np.int64)
    roots = np.flatnonzero(np.diff(trees, prepend=-1))
    sizes = np.diff(roots, append=len(trees))
    start = np.repeat(roots, sizes)
    if not np.array_equal(np.array(values[b"nodes_nodeids"]), np.arange(len(trees)) - start):
        raise NotExplainable("its trees are not numbered in their order")
    modes = np.array(values[b"nodes_modes"], dtype="S16")
    leaf, equal = modes == b"LEAF", modes == b"BRANCH_EQ"
    if not (leaf | equal | (modes == b"BRANCH_LEQ")).all():
        raise NotExplainable("it has comparisons other than at most and equal")
    of_leaf, target = _leaf_values(values, roots, len(trees))
    nodes = Nodes(
        feature=np.array(values[b"nodes_featureids"], dtype=np.int32),
        threshold=np.array(values[b"nodes_values"], dtype=np.float32),
        is_equality=equal,
        is_leaf=leaf,
        left=(start + np.array(values[b"nodes_truenodeids"])).astype(np.int32),
        right=(start + np.array(values[b"nodes_falsenodeids"])).astype(np.int32),
        missing_left=np.array(values[b"nodes_missing_value_tracks_true"]).astype(np.bool_),
        cover=np.array(values[b"nodes_hitrates"], dtype=np.float64),
        value=of_leaf,
    )
    base = np.zeros(int(values[b"n_targets"]))
    base_values = values.get(b"base_values", [])
    base[: len(base_values)] = base_values
    return Ensemble(nodes, roots.astype(np.int32), target, base, bytes(node.output[0]))


def exits_of(nodes: Nodes) -> tuple[Ints, Ints]:
    """The two targets of each question, past the links of its chain."""
    right = nodes.right.copy()
    for place in np.flatnonzero(~nodes.is_leaf & (nodes.cover >= 0)):
        here = right[place]
        while nodes.cover[here] < 0:
            here = nodes.right[here]
        right[place] = here
    return nodes.left, right


def refuse_made_up_covers(nodes: Nodes) -> None:
    """Converters write 1 for every node; the rows of a question are those of both of its sides.

    Raises:
        NotExplainable: these are such nodes.
    """
    left, right = exits_of(nodes) if (nodes.cover < 0).any() else (nodes.left, nodes.right)
    asked = np.flatnonzero(~nodes.is_leaf & (nodes.cover >= 0))
    sums = nodes.cover[left[asked]] + nodes.cover[right[asked]]
    if not np.allclose(sums, nodes.cover[asked], rtol=1e-3):
        raise NotExplainable("its trees do not store the number of training rows of each node")


def _leaf_values(values: Any, roots: npt.NDArray[np.int64], count: int) -> tuple[Floats, Ints]:
    """The value of every leaf, and the target of every tree."""
    trees = np.array(values[b"target_treeids"], dtype=np.int64)
    place = roots[trees] + np.array(values[b"target_nodeids"], dtype=np.int64)
    found = np.zeros(count)
    found[place] = values[b"target_weights"]
    target = np.zeros(len(roots), dtype=np.int32)
    target[trees] = values[b"target_ids"]
    return found, target


def _attribute(node: Any, name: bytes) -> Any:
    return next((item for item in node.attribute if item.name == name), None)


def _values(item: Any) -> Any:
    if item.floats:
        return list(item.floats)
    if item.ints:
        return list(item.ints)
    if item.strings:
        return list(item.strings)
    return item.i
