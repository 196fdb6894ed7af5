"""Fitted trees as plain arrays, exact in float32, and as one ONNX node.

A row is compared as float32, so rounding a float64 threshold *down* to float32 keeps every
comparison as it was: for a float32 x, x <= t exactly when x <= floor32(t). Converters that
round to nearest flip rows that lie on a threshold.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper

Ints = npt.NDArray[np.int64]
Floats32 = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

ML_DOMAIN = "ai.onnx.ml"
CONTINUED = -1.0


class Tree(NamedTuple):
    """One tree; children are indices into these arrays, and leaves have a value.

    Attributes:
        equal: where a row goes left that equals the threshold; elsewhere, one that is not above.
        cover: how many training rows came to each node; CONTINUED marks a node that goes on
            with the question of the node above.
    """

    feature: Ints
    threshold: Floats32
    left: Ints
    right: Ints
    missing_left: Bools
    leaf: Bools
    value: Floats32
    equal: Bools | None = None
    cover: Floats32 | None = None


class SummedTrees(NamedTuple):
    """Trees whose leaf values add up to one output."""

    trees: Sequence[Tree]
    base: float = 0.0


def floor32(values: npt.ArrayLike) -> Floats32:
    """The largest float32 that is not above each value."""
    exact = np.asarray(values, dtype=np.float64)
    rounded = exact.astype(np.float32)
    below = np.nextafter(rounded, np.float32(-np.inf))
    return np.where(rounded.astype(np.float64) > exact, below, rounded)


def from_forest_tree(tree: Any, leaf_values: npt.ArrayLike, columns: Ints) -> Tree:
    """A tree of a scikit-learn forest.

    Args:
        tree: the `tree_` of a fitted estimator.
        leaf_values: one value a node; those of inner nodes are not used.
        columns: position in the served matrix of each feature the tree was fitted on.
    """
    leaf = tree.children_left < 0
    return Tree(
        feature=np.where(leaf, 0, columns[np.where(leaf, 0, tree.feature)]),
        threshold=np.where(leaf, np.float32(0), floor32(tree.threshold)),
        left=np.where(leaf, 0, tree.children_left),
        right=np.where(leaf, 0, tree.children_right),
        missing_left=tree.missing_go_to_left.astype(bool),
        leaf=leaf,
        value=np.asarray(leaf_values, dtype=np.float64).astype(np.float32),
        # weighted: a row of weight ten counts as ten rows
        cover=tree.weighted_n_node_samples.astype(np.float32),
    )


def from_boosting_nodes(nodes: Any, columns: Ints | None = None) -> Tree:
    """A tree of scikit-learn's histogram gradient boosting.

    `columns` as for a forest; None: it was fitted on the served matrix.
    """
    leaf = nodes["is_leaf"].astype(bool)
    feature = np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64)
    return Tree(
        feature=feature if columns is None else np.where(leaf, 0, columns[feature]),
        threshold=np.where(leaf, np.float32(0), floor32(nodes["num_threshold"])),
        left=np.where(leaf, 0, nodes["left"]).astype(np.int64),
        right=np.where(leaf, 0, nodes["right"]).astype(np.int64),
        missing_left=nodes["missing_go_to_left"].astype(bool),
        leaf=leaf,
        value=nodes["value"].astype(np.float32),
        cover=nodes["count"].astype(np.float32),
    )


def thresholds(targets: Sequence[SummedTrees]) -> dict[int, Floats32]:
    """Feature -> every value that some tree splits it at."""
    trees = [tree for target in targets for tree in target.trees]
    if not trees:
        return {}
    splits = [~tree.leaf & ~_equal(tree) for tree in trees]
    feature = np.concatenate([tree.feature[at] for tree, at in zip(trees, splits, strict=True)])
    value = np.concatenate([tree.threshold[at] for tree, at in zip(trees, splits, strict=True)])
    return {int(name): np.unique(value[feature == name]) for name in np.unique(feature)}


def ensemble_node(targets: Sequence[SummedTrees], inputs: str, output: str) -> NodeProto:
    """All trees as one TreeEnsembleRegressor: (rows, features) -> (rows, targets)."""
    trees = [tree for target in targets for tree in target.trees]
    tree_ids = _repeat(range(len(trees)), trees)
    node_ids = np.concatenate([np.arange(len(tree.leaf)) for tree in trees])
    target_ids = _repeat([i for i, target in enumerate(targets) for _ in target.trees], trees)
    leaf = _joined(trees, "leaf")
    branches = np.where(np.concatenate([_equal(tree) for tree in trees]), "BRANCH_EQ", "BRANCH_LEQ")
    covers = [tree.cover for tree in trees if tree.cover is not None]
    more = {"nodes_hitrates": np.concatenate(covers).tolist()} if len(covers) == len(trees) else {}
    return helper.make_node(
        "TreeEnsembleRegressor",
        [inputs],
        [output],
        domain=ML_DOMAIN,
        n_targets=len(targets),
        aggregate_function="SUM",
        post_transform="NONE",
        base_values=[float(target.base) for target in targets],
        nodes_treeids=tree_ids.tolist(),
        nodes_nodeids=node_ids.tolist(),
        nodes_featureids=_joined(trees, "feature").tolist(),
        nodes_values=_joined(trees, "threshold").tolist(),
        nodes_modes=np.where(leaf, "LEAF", branches).tolist(),
        nodes_truenodeids=_joined(trees, "left").tolist(),
        nodes_falsenodeids=_joined(trees, "right").tolist(),
        nodes_missing_value_tracks_true=_joined(trees, "missing_left").astype(int).tolist(),
        target_treeids=tree_ids[leaf].tolist(),
        target_nodeids=node_ids[leaf].tolist(),
        target_ids=target_ids[leaf].tolist(),
        target_weights=_joined(trees, "value")[leaf].tolist(),
        **more,
    )


def _equal(tree: Tree) -> Bools:
    return np.zeros(len(tree.leaf), dtype=np.bool_) if tree.equal is None else tree.equal


def _repeat(values: Sequence[int] | range, trees: Sequence[Tree]) -> Ints:
    """Each tree's value once for each of its nodes."""
    return np.repeat(np.asarray(values, dtype=np.int64), [len(tree.leaf) for tree in trees])


def _joined(trees: Sequence[Tree], name: str) -> npt.NDArray[Any]:
    return np.concatenate([getattr(tree, name) for tree in trees])
