"""Training: labelled rows in the order of time become a candidate of three components."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from learning.dataset.mapped import Ints, passes, release_pages, take_rows
from learning.export.graph import Exportable, to_onnx
from learning.export.parity import Parity, compare, require
from learning.trainers.isolation_forest import FittedIsolationForest, fit_isolation_forest
from shared.errors import TrainingFailed
from shared.usecase.learning import CHOSEN, Candidate, Labels, Progress
from shared.usecase.serving import FloatMatrix

from ..features.catalogue import FEATURE_SET
from .autoencoder import Autoencoder, fit_autoencoder
from .choosing import Choice, TrainingExamples, choose
from .classifier import Classifier
from .metrics import Scores, classifier_thresholds, outlier_threshold
from .policy import ThresholdPolicy, read_policy
from .recipe import COMPONENTS, FraudRecipe

PARITY_ROWS = 1_000
MAX_USUAL_ROWS = 2_000_000
"""The autoencoder learns from a random sample of more rows: it needs far fewer."""

GRAPH = "model.onnx"
_FRAMEWORKS = ("numpy", "onnx", "scikit-learn", "torch")
_NOT_KNOWN_POSITIVE = 0


@dataclass(frozen=True, slots=True)
class FittedComponents:
    """The three components, in the order of `COMPONENTS`."""

    classifier: Classifier
    isolation_forest: FittedIsolationForest
    autoencoder: Autoencoder


def shipped_recipe() -> FraudRecipe:
    """The classifier's recipe from the policy file, and the fixed anomaly models."""
    return FraudRecipe(read_policy().classifier)


@dataclass(frozen=True, slots=True)
class FraudTrainingRequest:
    """The training data and recipe; rows are in time order.

    Attributes:
        categories: names of the features that are codes of words.
    """

    matrix: FloatMatrix
    labels: Labels
    feature_names: tuple[str, ...]
    feature_set_version: str
    thresholds: ThresholdPolicy
    seed: int
    categories: frozenset[str] = FEATURE_SET.categories
    recipe: FraudRecipe = field(default_factory=shipped_recipe)

    @property
    def examples(self) -> TrainingExamples:
        """The training rows of the classifier."""
        words = [at for at, name in enumerate(self.feature_names) if name in self.categories]
        return TrainingExamples(self.matrix, self.labels, words, self.seed)


def train_candidate(ask: FraudTrainingRequest, progress: Progress) -> Candidate:
    """Fit, export, compare with the fitted models, choose thresholds, describe.

    Raises:
        TrainingFailed: says at which component and why.
    """
    _refuse_unusable(ask)
    # See fit_classifier: on a busy machine a second OpenMP thread costs more than it gives.
    with threadpool_limits(1):
        return _train(ask, progress)


def _train(ask: FraudTrainingRequest, progress: Progress) -> Candidate:
    progress("choice", 0.0)
    choice = choose(ask.examples, ask.recipe.classifier, lambda _judged: progress("choice", 0.0))
    fitted = fit_components(ask, progress, choice.name)
    progress("export", 0.9)
    files = export(fitted, len(ask.feature_names))
    progress("parity", 0.95)
    recent = choice.newest
    some = ask.matrix[:: max(len(ask.matrix) // PARITY_ROWS, 1)].copy()
    require(parity_of(fitted, files[GRAPH], some))
    scores = {
        COMPONENTS[0]: _judged(ask, fitted.classifier, choice),
        COMPONENTS[1]: fitted.isolation_forest.score(ask.matrix[recent]),
        COMPONENTS[2]: fitted.autoencoder.score(ask.matrix[recent]),
    }
    progress("trained", 1.0)
    return Candidate(
        files=files,
        components=COMPONENTS,
        feature_names=ask.feature_names,
        feature_set_version=ask.feature_set_version,
        thresholds=_thresholds(ask, scores, ask.labels[recent]),
        hyperparameters={**ask.recipe.hyperparameters(), CHOSEN: choice.told()},
        frameworks={
            "python": platform.python_version(),
            **{name: version(name) for name in _FRAMEWORKS},
        },
    )


def fit_components(
    ask: FraudTrainingRequest, progress: Progress, name: str | None = None
) -> FittedComponents:
    """All three on all rows; the anomaly models on those not known to be positive.

    `name` is the candidate that was chosen for the classifier; None: the first one.

    Raises:
        TrainingFailed: one class only, no feature left for a component, or no finite loss.
    """
    recipe = ask.recipe
    progress("classifier", 0.4)
    chosen = recipe.classifier.candidates[name or next(iter(recipe.classifier.candidates))]
    classifier = ask.examples.fitter(recipe.classifier).fit(chosen)
    usual = np.flatnonzero(ask.labels == _NOT_KNOWN_POSITIVE)
    progress("isolation_forest", 0.7)
    columns = _columns(ask, COMPONENTS[1], recipe.isolation_forest.features)
    forest = fit_isolation_forest(ask.matrix, columns, recipe.isolation_forest, ask.seed, usual)
    release_pages(ask.matrix)
    progress("autoencoder", 0.75)
    columns = _columns(ask, COMPONENTS[2], recipe.autoencoder.features)
    drawn = take_rows(ask.matrix, _at_most(usual, MAX_USUAL_ROWS, ask.seed))
    autoencoder = fit_autoencoder(drawn, columns, recipe.autoencoder, ask.seed)
    return FittedComponents(classifier, forest, autoencoder)


def _at_most(rows: Ints, most: int, seed: int) -> Ints:
    """All of them, or a random sample, in order."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def export(fitted: FittedComponents, feature_count: int) -> Mapping[str, bytes]:
    """The served graph, and each component's graph."""
    parts: tuple[Exportable, ...] = (
        fitted.classifier,
        fitted.isolation_forest,
        fitted.autoencoder,
    )
    alone = {
        f"{name}/{GRAPH}": to_onnx([part], feature_count)
        for name, part in zip(COMPONENTS, parts, strict=True)
    }
    return {GRAPH: to_onnx(parts, feature_count), **alone}


def _refuse_unusable(ask: FraudTrainingRequest) -> None:
    if ask.matrix.dtype != np.float32 or ask.matrix.ndim != 2:
        raise TrainingFailed(f"features: float32 rows are needed, not {ask.matrix.dtype}")
    if len(ask.matrix) != len(ask.labels) or not len(ask.labels):
        raise TrainingFailed(f"features: {len(ask.matrix)} rows, {len(ask.labels)} labels")
    infinite = np.zeros(len(ask.feature_names), dtype=np.int64)
    unknown = np.zeros_like(infinite)
    for part in passes(ask.matrix):
        infinite += np.isinf(part).sum(axis=0)
        unknown += np.isnan(part).sum(axis=0)
    for position, name in enumerate(ask.feature_names):
        if infinite[position]:
            raise TrainingFailed(f"features: {name} is infinite in {infinite[position]} rows")
        # categories are optional
        if unknown[position] == len(ask.matrix) and name not in ask.categories:
            raise TrainingFailed(f"features: {name} has no value in any row")


def _columns(ask: FraudTrainingRequest, component: str, wanted: Sequence[str]) -> list[int]:
    found = [ask.feature_names.index(name) for name in wanted if name in ask.feature_names]
    if not found:
        raise TrainingFailed(f"{component}: all of its features are switched off: {wanted}")
    return found


def _judged(ask: FraudTrainingRequest, classifier: Classifier, choice: Choice) -> Scores:
    """Scores of the newest rows by a classifier that has not seen them.

    Where the other rows hold one class only there is no such classifier; the scores are then
    those of the shipped one, which knows these rows.
    """
    if choice.newest_scores is not None:
        return choice.newest_scores
    return classifier.score(ask.matrix[choice.newest])


def _thresholds(
    ask: FraudTrainingRequest, scores: Mapping[str, Scores], labels: Labels
) -> Mapping[str, float]:
    usual = labels == _NOT_KNOWN_POSITIVE
    if not usual.any():
        usual = np.ones_like(usual)
    anomaly = {
        name: outlier_threshold(scores[name][usual], ask.thresholds) for name in COMPONENTS[1:]
    }
    return {**classifier_thresholds(scores[COMPONENTS[0]], labels, ask.thresholds), **anomaly}


def parity_of(fitted: FittedComponents, graph: bytes, rows: FloatMatrix) -> Parity:
    """The agreement of the served graph and the fitted models on sample rows."""
    components = (fitted.classifier, fitted.isolation_forest, fitted.autoencoder)
    targets = (*fitted.classifier.targets(), *fitted.isolation_forest.targets())
    return compare(components, targets, graph, rows, fitted.classifier.vocabulary.widen(rows))
