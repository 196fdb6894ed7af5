"""The supervised component: gradient boosting, alone or blended with randomised trees."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from learning.dataset.mapped import ROWS_PER_PASS, passes, release_pages
from learning.export.graph import Builder
from learning.export.trees import (
    Ints,
    SummedTrees,
    ensemble_node,
    from_boosting_nodes,
    from_forest_tree,
)
from shared.errors import TrainingFailed
from shared.usecase.learning import Labels
from shared.usecase.serving import FloatMatrix

from .recipe import (
    THREADS,
    BoostingRecipe,
    ClassifierRecipe,
    ForestRecipe,
    RowDraw,
    WordsRecipe,
)
from .words import Vocabulary, fit_vocabulary

_POSITIVE = 1

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FittedForest:
    """Extremely randomised trees.

    Attributes:
        columns: of the prepared matrix, those the trees were fitted on.
    """

    trees: Any
    columns: Ints

    def score(self, prepared: FloatMatrix) -> Scores:
        found: Scores = self.trees.predict_proba(prepared[:, self.columns])[:, _POSITIVE]
        return found

    def target(self, share: float, vocabulary: Vocabulary) -> SummedTrees:
        """Its part of a blend, as a sum over trees."""
        fitted = [each.tree_ for each in self.trees.estimators_]
        columns = vocabulary.wide_columns[self.columns]
        share /= len(fitted)
        return SummedTrees(
            [
                from_forest_tree(tree, tree.value[:, 0, _POSITIVE] * share, columns)
                for tree in fitted
            ]
        )

    @property
    def node_visits(self) -> float:
        """The mean number of splits that a training row passes."""
        return sum(
            float(tree.n_node_samples[tree.children_left >= 0].sum() / tree.n_node_samples[0])
            for tree in (each.tree_ for each in self.trees.estimators_)
        )


@dataclass(frozen=True, slots=True)
class FittedBoosting:
    """Gradient boosting.

    Attributes:
        log_odds_shift: takes its log-odds from the drawn rows back to all rows.
    """

    trees: Any
    log_odds_shift: float

    def score(self, prepared: FloatMatrix) -> Scores:
        found: Scores = expit(self.trees.decision_function(prepared) + self.log_odds_shift)
        return found

    def target(self, vocabulary: Vocabulary) -> SummedTrees:
        """Its log-odds, as a sum over trees."""
        columns = vocabulary.wide_columns
        trees = [from_boosting_nodes(nodes, columns) for nodes in self._nodes()]
        base = float(self.trees._baseline_prediction[0, 0])  # noqa: SLF001 - no public access
        return SummedTrees(trees, base + self.log_odds_shift)

    @property
    def node_visits(self) -> float:
        """The mean number of splits that a training row passes."""
        return sum(
            float(nodes["count"][nodes["is_leaf"] == 0].sum() / nodes["count"][0])
            for nodes in self._nodes()
        )

    def _nodes(self) -> list[Any]:
        return [predictor.nodes for (predictor,) in self.trees._predictors]  # noqa: SLF001


@dataclass(frozen=True, slots=True)
class Classifier:
    """A fitted blend; `score` is a probability, in scikit-learn's own arithmetic."""

    vocabulary: Vocabulary
    forest: FittedForest | None
    boosting: FittedBoosting
    forest_share: float

    def score(self, matrix: FloatMatrix) -> Scores:
        parts = [self._score(part) for part in passes(matrix)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _score(self, matrix: FloatMatrix) -> Scores:
        prepared = self.vocabulary.prepare(matrix)
        boosting = self.boosting.score(prepared)
        if self.forest is None:
            return boosting
        blend: Scores = (
            self.forest_share * self.forest.score(prepared) + (1.0 - self.forest_share) * boosting
        )
        return blend

    @property
    def node_visits(self) -> float:
        """The cost of a row: the splits it passes."""
        forest = 0.0 if self.forest is None else self.forest.node_visits
        return forest + self.boosting.node_visits

    def targets(self) -> tuple[SummedTrees, ...]:
        """The boosting's log-odds and the forest's part of the blend, over widened rows."""
        boosting = self.boosting.target(self.vocabulary)
        if self.forest is None:
            return (boosting,)
        return boosting, self.forest.target(self.forest_share, self.vocabulary)

    def export(self, builder: Builder) -> str:
        inputs = self.vocabulary.export(builder, "classifier")
        boosting, *forest = self.targets()
        # Two nodes with one target each, for which onnxruntime has a fast path.
        builder.nodes.append(ensemble_node([boosting], inputs, "classifier_log_odds"))
        if not forest:
            return builder.add("Sigmoid", ["classifier_log_odds"], "classifier")
        builder.nodes.append(ensemble_node(forest, inputs, "classifier_forest"))
        builder.constant("classifier_boosting_share", 1.0 - self.forest_share)
        builder.add("Sigmoid", ["classifier_log_odds"], "classifier_boosting")
        builder.add("Mul", ["classifier_boosting", "classifier_boosting_share"], "classifier_rest")
        return builder.add("Add", ["classifier_forest", "classifier_rest"], "classifier")


class Fitter:
    """Fits candidates on the same rows; what two of them have in common is fitted once.

    Raises:
        TrainingFailed: the labels hold one class only.
    """

    def __init__(
        self,
        matrix: FloatMatrix,
        labels: Labels,
        words: tuple[Sequence[int], WordsRecipe],
        seed: int,
        *,
        rows: Ints | None = None,
        max_negatives: int | None = None,
    ) -> None:
        """`words` are the columns that hold codes, and how to learn them.

        `rows` are those of `matrix` that the labels belong to; None: all of them.
        """
        classes = np.unique(labels)
        if len(classes) < 2:
            held = f"only class {classes[0]}" if len(classes) else "no rows"
            raise TrainingFailed(f"classifier: the {len(labels)} training labels hold {held}")
        self._matrix, self._labels, self._words, self._seed = matrix, labels, words, seed
        self._rows = np.arange(len(labels)) if rows is None else rows
        self._max_negatives = max_negatives
        self._windows: dict[float, _Window] = {}
        self._fitted: dict[Any, Any] = {}

    def fit(self, recipe: ClassifierRecipe) -> Classifier:
        window = self._window(recipe.newest_share)
        forest = None
        if recipe.forest is not None:
            forest = self._once(recipe.newest_share, recipe.forest, window.fit_forest)
        boosting = self._once(recipe.newest_share, recipe.boosting, window.fit_boosting)
        return Classifier(window.vocabulary, forest, boosting, recipe.forest_share)

    def _once(self, newest_share: float, recipe: Any, fit: Any) -> Any:
        key = (newest_share, recipe.model_dump_json())
        if key not in self._fitted:
            self._fitted[key] = fit(recipe, self._seed, self._max_negatives)
        return self._fitted[key]

    def _window(self, newest_share: float) -> "_Window":
        if newest_share not in self._windows:
            since = len(self._labels) - max(round(len(self._labels) * newest_share), 1)
            if len(np.unique(self._labels[since:])) < 2:
                since = 0
            rows, labels = self._rows[since:], self._labels[since:]
            columns, recipe = self._words
            vocabulary = fit_vocabulary(self._matrix, labels, columns, recipe, rows)
            self._windows[newest_share] = _Window(self._matrix, rows, labels, vocabulary)
        return self._windows[newest_share]


def fit_classifier(
    matrix: FloatMatrix, labels: Labels, recipe: ClassifierRecipe, seed: int
) -> Classifier:
    """One candidate on rows without words.

    Raises:
        TrainingFailed: the labels hold one class only.
    """
    nothing = WordsRecipe(min_rows=1, max_words=1, prior_rows=1)
    return Fitter(matrix, labels, ((), nothing), seed).fit(recipe)


@dataclass(frozen=True, slots=True)
class _Window:
    """The newest rows of a matrix, and the words in them; only drawn rows are copied."""

    matrix: FloatMatrix
    rows: Ints
    labels: Labels
    vocabulary: Vocabulary

    def fit_forest(
        self, recipe: ForestRecipe, seed: int, max_negatives: int | None
    ) -> FittedForest:
        draw = _draw(self.labels, recipe.rows, seed, max_negatives)
        drawn, targets = self._prepared(draw, np.float32), self.labels[draw.rows]
        columns = self.vocabulary.told
        forest = ExtraTreesClassifier(
            recipe.trees,
            min_samples_leaf=recipe.min_samples_leaf,
            max_features=recipe.max_features,
            n_jobs=THREADS,
            random_state=seed,
        )
        forest.fit(drawn[:, columns], targets, sample_weight=draw.weights(targets))
        # Threads add their trees in the order they finish: the last bit would be random.
        forest.set_params(n_jobs=1)
        return FittedForest(forest, columns)

    def fit_boosting(
        self, recipe: BoostingRecipe, seed: int, max_negatives: int | None
    ) -> FittedBoosting:
        draw = _draw(self.labels, recipe.rows, seed, max_negatives)
        # float64, as scikit-learn requires: otherwise it would make another copy
        drawn = _without_empty(self._prepared(draw, np.float64))
        boosting = HistGradientBoostingClassifier(
            learning_rate=recipe.learning_rate,
            max_iter=recipe.trees,
            max_leaf_nodes=recipe.max_leaves,
            l2_regularization=recipe.l2,
            # The default stops early above 10,000 rows: the recipe would depend on the size.
            early_stopping=False,
            random_state=seed,
        )
        # OpenMP threads busy-wait: on a busy machine two threads take many times as long as one.
        with threadpool_limits(1):
            # Unweighted: binning with weights takes scikit-learn longer than all else together.
            boosting.fit(drawn, self.labels[draw.rows])
        return FittedBoosting(boosting, draw.log_odds_shift)

    def _prepared(self, draw: "_Draw", dtype: type[np.floating]) -> npt.NDArray[np.floating]:
        """The drawn rows as trees are fitted on them."""
        rows = self.rows[draw.rows]
        prepared = np.empty((len(rows), self.matrix.shape[1]), dtype)
        for at in range(0, len(rows), ROWS_PER_PASS):
            part = self.matrix[rows[at : at + ROWS_PER_PASS]]
            prepared[at : at + ROWS_PER_PASS] = self.vocabulary.prepare(part, dtype)
            release_pages(self.matrix)
        return prepared


def _without_empty(drawn: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Zeros in columns without any value, of which scikit-learn's boosting makes no bins."""
    for column in np.flatnonzero(np.isnan(drawn[0])):
        if np.isnan(drawn[:, column]).all():
            drawn[:, column] = 0.0
    return drawn


@dataclass(frozen=True, slots=True)
class _Draw:
    """Rows to fit on, and how many rows each drawn negative stands for."""

    rows: npt.NDArray[np.int64]
    negative_weight: float

    @property
    def log_odds_shift(self) -> float:
        return -math.log(self.negative_weight)

    def weights(self, labels: Labels) -> npt.NDArray[np.float64]:
        return np.where(labels == _POSITIVE, 1.0, self.negative_weight)


def _draw(labels: Labels, wanted: RowDraw, seed: int, max_negatives: int | None) -> _Draw:
    """The newest positives, and a random sample of the negatives since the first of them."""
    positives, negatives = np.flatnonzero(labels == _POSITIVE), np.flatnonzero(labels != _POSITIVE)
    if len(positives) > wanted.max_positives:
        positives = positives[-wanted.max_positives :]
        # Positives and negatives of the same time, or the probabilities would be too high.
        since = negatives[negatives > positives[0]]
        negatives = since if len(since) else negatives
    count = max(wanted.negatives_per_positive * len(positives), wanted.min_negatives)
    count = min(count, wanted.max_negatives, len(negatives), max_negatives or len(negatives))
    if count == len(negatives):
        drawn = negatives
    else:
        rng = np.random.default_rng(seed)
        drawn = rng.choice(negatives, count, replace=False, shuffle=False)
    rows = np.sort(np.concatenate([positives, drawn]))
    return _Draw(rows, negative_weight=len(negatives) / len(drawn))
