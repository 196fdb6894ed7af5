"""The supervised component: extremely randomised trees and gradient boosting, blended."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from learning.export.graph import INPUT, Builder
from learning.export.trees import (
    Target,
    ensemble_node,
    from_boosting_nodes,
    from_forest_tree,
)
from shared.errors import TrainingFailed
from shared.usecase.learning import Labels
from shared.usecase.serving import FloatMatrix
from usecases.fraud.training.recipe import THREADS, ClassifierRecipe

_POSITIVE = 1


@dataclass(frozen=True, slots=True)
class Classifier:
    """A fitted blend; `score` is a probability, in scikit-learn's own arithmetic.

    Attributes:
        log_odds_shift: takes the boosting's log-odds from the drawn rows back to all rows.
    """

    forest: Any
    boosting: Any
    forest_share: float
    log_odds_shift: float

    def score(self, matrix: FloatMatrix) -> npt.NDArray[np.float64]:
        forest = self.forest.predict_proba(matrix)[:, _POSITIVE]
        boosting = expit(self.boosting.decision_function(matrix) + self.log_odds_shift)
        blend: npt.NDArray[np.float64] = (
            self.forest_share * forest + (1.0 - self.forest_share) * boosting
        )
        return blend

    def targets(self) -> tuple[Target, Target]:
        """The forest's part of the blend and the boosting's log-odds, as sums over trees."""
        estimators = self.forest.estimators_
        share = self.forest_share / len(estimators)
        columns = np.arange(self.forest.n_features_in_)
        forest = [
            from_forest_tree(fitted.tree_, fitted.tree_.value[:, 0, _POSITIVE] * share, columns)
            for fitted in estimators
        ]
        boosting = [
            from_boosting_nodes(predictor.nodes)
            for (predictor,) in self.boosting._predictors  # noqa: SLF001 - no public access
        ]
        base = float(self.boosting._baseline_prediction[0, 0])  # noqa: SLF001
        return Target(forest), Target(boosting, base + self.log_odds_shift)

    def export(self, builder: Builder) -> str:
        forest, boosting = self.targets()
        # Two nodes: with one target each, the runtime takes its fast path.
        builder.nodes.append(ensemble_node([forest], INPUT, "classifier_forest"))
        builder.nodes.append(ensemble_node([boosting], INPUT, "classifier_log_odds"))
        builder.constant("classifier_boosting_share", 1.0 - self.forest_share)
        builder.add("Sigmoid", ["classifier_log_odds"], "classifier_boosting")
        builder.add("Mul", ["classifier_boosting", "classifier_boosting_share"], "classifier_rest")
        return builder.add("Add", ["classifier_forest", "classifier_rest"], "classifier")


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


def fit_classifier(
    matrix: FloatMatrix, labels: Labels, recipe: ClassifierRecipe, seed: int
) -> Classifier:
    """Fit both halves on the same draw of rows.

    Raises:
        TrainingFailed: the labels hold one class only.
    """
    classes = np.unique(labels)
    if len(classes) < 2:
        held = f"only class {classes[0]}" if len(classes) else "no rows"
        raise TrainingFailed(f"classifier: the {len(labels)} training labels hold {held}")
    draw = _draw(labels, recipe, seed)
    drawn, targets = matrix[draw.rows], labels[draw.rows]
    forest = ExtraTreesClassifier(
        recipe.forest_trees,
        min_samples_leaf=recipe.forest_min_samples_leaf,
        max_features=recipe.forest_max_features,
        n_jobs=THREADS,
        random_state=seed,
    )
    boosting = HistGradientBoostingClassifier(
        learning_rate=recipe.boosting_learning_rate,
        max_iter=recipe.boosting_iterations,
        max_leaf_nodes=recipe.boosting_max_leaf_nodes,
        l2_regularization=recipe.boosting_l2,
        # The default stops early above 10,000 rows: the recipe would depend on the size.
        early_stopping=False,
        random_state=seed,
    )
    forest.fit(drawn, targets, sample_weight=draw.weights(targets))
    # Threads add up their trees in the order they finish: the last bit would be chance.
    forest.set_params(n_jobs=1)
    # OpenMP threads wait by spinning: on a busy machine two take many times as long as one.
    with threadpool_limits(1):
        # Unweighted: binning with weights takes scikit-learn longer than all else together.
        boosting.fit(drawn, targets)
    return Classifier(forest, boosting, recipe.forest_share, draw.log_odds_shift)


def _draw(labels: Labels, recipe: ClassifierRecipe, seed: int) -> _Draw:
    """The newest positives, and a random sample of the negatives since the first of them."""
    positives, negatives = np.flatnonzero(labels == _POSITIVE), np.flatnonzero(labels != _POSITIVE)
    if len(positives) > recipe.max_positives:
        positives = positives[-recipe.max_positives :]
        # Positives and negatives of the same time, or the probabilities would be too high.
        since = negatives[negatives > positives[0]]
        negatives = since if len(since) else negatives
    wanted = max(recipe.negatives_per_positive * len(positives), recipe.min_negatives)
    wanted = min(wanted, recipe.max_negatives, len(negatives))
    drawn = np.random.default_rng(seed).choice(negatives, wanted, replace=False, shuffle=False)
    rows = np.sort(np.concatenate([positives, drawn]))
    return _Draw(rows, negative_weight=len(negatives) / len(drawn))
