"""Gradient boosting over histograms, with categories: binary, multiclass, regression."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from learning.export.categories import Vocabulary, from_boosting
from learning.export.graph import INPUT, Builder
from learning.export.trees import Ints, SummedTrees, Tree, ensemble_node
from learning.trainers.request import Floats, Recipe, TrainingRequest
from shared.errors import TrainingFailed
from shared.tasks import Task, TaskKind
from shared.usecase.serving import FloatMatrix

LOSSES = ("squared_error", "absolute_error", "poisson", "gamma", "quantile")
_LOG_LINK = ("poisson", "gamma")


@dataclass(frozen=True, slots=True)
class BoostingSettings:
    """Every number of the recipe.

    Attributes:
        loss: of a regression; poisson and gamma take labels that are not negative.
        quantile: which one, where the loss is `quantile`.
        balanced: classes count the same however rare they are; probabilities are then those
            of a world with as many rows of each.
    """

    iterations: int = 120
    learning_rate: float = 0.08
    max_leaf_nodes: int = 16
    min_samples_leaf: int = 20
    l2: float = 1.0
    loss: str = "squared_error"
    quantile: float = 0.5
    balanced: bool = False

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> "BoostingSettings":
        """Raises TrainingFailed when a setting is unknown or impossible."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(settings) - set(known))
        if unknown:
            raise TrainingFailed(
                f"gradient_boosting has no setting {unknown[0]!r}; it has {', '.join(known)}"
            )
        made = cls(**settings)
        if made.loss not in LOSSES:
            raise TrainingFailed(f"loss {made.loss!r} is not one of {', '.join(LOSSES)}")
        return made


@dataclass(frozen=True, slots=True)
class Boosting:
    """A fitted model; `predict` is scikit-learn's own arithmetic on the encoded matrix."""

    task: Task
    estimator: Any
    vocabulary: Vocabulary
    columns: Ints
    log_link: bool
    hyperparameters: Mapping[str, Any]

    def predict(self, matrix: FloatMatrix) -> Floats:
        coded = self.vocabulary.encode(matrix)
        if self.task.kind is TaskKind.REGRESSION:
            return np.asarray(self.estimator.predict(coded), dtype=np.float64)
        shares = np.asarray(self.estimator.predict_proba(coded), dtype=np.float64)
        if self.task.kind is TaskKind.BINARY:
            return shares[:, 1]
        return self._all_classes(shares)

    def targets(self) -> tuple[SummedTrees, ...]:
        """One sum over trees for each raw score."""
        known = self.estimator._bin_mapper.make_known_categories_bitsets()  # noqa: SLF001
        base = self.estimator._baseline_prediction.reshape(-1)  # noqa: SLF001
        columns: list[list[Tree]] = [[] for _ in base]
        for stage in self.estimator._predictors:  # noqa: SLF001 - no public access
            for trees, predictor in zip(columns, stage, strict=True):
                trees.append(from_boosting(predictor, known, self.vocabulary, self.columns))
        return tuple(SummedTrees(trees, float(b)) for trees, b in zip(columns, base, strict=True))

    def export(self, builder: Builder) -> str:
        builder.nodes.append(ensemble_node(self.targets(), INPUT, "boosting_raw"))
        if self.task.kind is TaskKind.REGRESSION:
            return builder.add("Exp", ["boosting_raw"], "boosting") if self.log_link else (
                "boosting_raw"
            )  # fmt: skip
        if self.task.kind is TaskKind.BINARY:
            return builder.add("Sigmoid", ["boosting_raw"], "boosting")
        shares = "boosting_shares"
        if len(self.estimator.classes_) == 2:
            self._export_two(builder, shares)
        else:
            builder.add("Softmax", ["boosting_raw"], shares, axis=1)
        return self._export_all_classes(builder, shares)

    def _export_two(self, builder: Builder, shares: str) -> None:
        """Exports a model with rows of two of several classes: one raw score stands for both."""
        builder.add("Sigmoid", ["boosting_raw"], "boosting_second")
        builder.constant("boosting_one", 1.0)
        builder.add("Sub", ["boosting_one", "boosting_second"], "boosting_first")
        builder.add("Concat", ["boosting_first", "boosting_second"], shares, axis=1)

    def _all_classes(self, shares: Floats) -> Floats:
        whole = np.zeros((len(shares), len(self.task.names)))
        whole[:, self.estimator.classes_.astype(np.int64)] = shares
        return whole

    def _export_all_classes(self, builder: Builder, shares: str) -> str:
        """A class without rows is never answered: its probability is 0."""
        found = self.estimator.classes_.astype(np.int64)
        if len(found) == len(self.task.names):
            return shares
        place = np.zeros((len(found), len(self.task.names)), dtype=np.float32)
        place[np.arange(len(found)), found] = 1.0
        builder.constant("boosting_places", place)
        return builder.add("MatMul", [shares, "boosting_places"], "boosting")


def fit_boosting(
    request: TrainingRequest, recipe: Recipe, rows: slice | npt.NDArray[np.int64]
) -> Boosting:
    """Fit on some of the rows.

    Raises:
        TrainingFailed: one class only, or labels that the loss does not take.
    """
    settings = BoostingSettings.parse(recipe.settings)
    task, matrix, labels = request.task, request.matrix[rows], request.labels[rows]
    if task.kind is TaskKind.RANKING:
        raise TrainingFailed("gradient_boosting has no ranking: use denoising_autoencoder")
    if len(np.unique(labels)) < 2:
        raise TrainingFailed("gradient_boosting: the labels of the training rows are all the same")
    vocabulary = Vocabulary.fit(matrix, request.categories)
    estimator = _estimator(task, settings, request.categories, request.seed)
    try:
        # OpenMP threads busy-wait: on a busy machine two threads take many times as long as one.
        with threadpool_limits(1):
            estimator.fit(vocabulary.encode(matrix), labels)
    except ValueError as error:
        raise TrainingFailed(f"gradient_boosting: {error}") from error
    log_link = task.kind is TaskKind.REGRESSION and settings.loss in _LOG_LINK
    order = _order(len(request.columns), request.categories)
    return Boosting(task, estimator, vocabulary, order, log_link, asdict(settings))


def _estimator(task: Task, settings: BoostingSettings, categories: Sequence[int], seed: int) -> Any:
    common = {
        "learning_rate": settings.learning_rate,
        "max_iter": settings.iterations,
        "max_leaf_nodes": settings.max_leaf_nodes,
        "min_samples_leaf": settings.min_samples_leaf,
        "l2_regularization": settings.l2,
        "categorical_features": list(categories) or None,
        # The default stops early above 10,000 rows: the recipe would depend on the number of rows.
        "early_stopping": False,
        "random_state": seed,
    }
    if task.kind is TaskKind.REGRESSION:
        quantile = settings.quantile if settings.loss == "quantile" else None
        return HistGradientBoostingRegressor(loss=settings.loss, quantile=quantile, **common)
    weight = "balanced" if settings.balanced else None
    return HistGradientBoostingClassifier(class_weight=weight, **common)


def _order(count: int, categories: Sequence[int]) -> Ints:
    """The order in which scikit-learn numbers the columns: categories come first."""
    rest = [place for place in range(count) if place not in set(categories)]
    return np.array([*categories, *rest], dtype=np.int64)
