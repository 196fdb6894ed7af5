"""Training: several recipes on older rows, the best of them on all, its graph, and the proof.

The winner is chosen on the newest training rows, which the gate does not use, and only the winner
is judged by the gate. The graph has to agree with the fitted model on a thousand rows: a difference
that no threshold explains refuses the candidate, and names where it begins.
"""

import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from learning.export.graph import Builder, Exportable, to_onnx
from learning.export.parity import TOLERANCE, compare_scores, rows_on_a_split, run_graph
from learning.export.trees import SummedTrees
from learning.measures import measure_named
from learning.trainers.boosting import fit_boosting
from learning.trainers.estimator import FittedEstimator, fit_estimator
from learning.trainers.isolation_forest import (
    DefaultForest,
    FittedIsolationForest,
    fit_isolation_forest,
)
from learning.trainers.ratings import baseline_graphs
from learning.trainers.request import Floats, Recipe, TrainingRequest, refuse_unusable
from learning.trainers.steps import differing_step
from shared.bundle.graph import check_graph
from shared.errors import BundleMalformed, TrainingFailed
from shared.execution.executor import TaskFailed, current_executor
from shared.tasks import OUTLIER, TaskKind
from shared.tasks.answer import DECISION, DEFAULT_DECISION
from shared.usecase.learning import CHOSEN, Candidate, Progress, baseline_path
from shared.usecase.serving import FloatMatrix

_HIGHEST, _LOWEST = 1.0 - 1e-6, 1e-6


def decision_threshold(scores: Floats, labels: Floats) -> float:
    """The threshold with the best F1 of the positive class; 0.5 where it is undefined."""
    positives = int(np.count_nonzero(labels == 1))
    if not positives or not np.isfinite(scores).all():
        return DEFAULT_DECISION
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(labels[order] == 1)
    # Equal scores cannot be separated: only the last of each run is a possible threshold.
    cuts = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    f1 = 2.0 * hits[cuts] / (cuts + 1 + positives)
    return float(np.clip(ranked[cuts[int(np.argmax(f1))]], _LOWEST, _HIGHEST))


def outlier_threshold(scores: Floats, share: float) -> float:
    """Scores above this are among the most unusual of the validation rows."""
    return float(np.quantile(scores, 1.0 - share))


PARITY_ROWS = 1_000
GRAPH = "model.onnx"
_FRAMEWORKS = (
    "numpy",
    "onnx",
    "scikit-learn",
    "skl2onnx",
    "lightgbm",
    "xgboost",
    "xgboost-cpu",
    "torch",
)

Rows = slice | npt.NDArray[np.int64]


class FittedModel(Protocol):
    """A fitted model of any recipe."""

    @property
    def hyperparameters(self) -> Mapping[str, Any]: ...

    def predict(self, matrix: FloatMatrix) -> Floats:
        """(rows,) or (rows, outputs) in its own library's arithmetic."""
        ...

    def targets(self) -> tuple[SummedTrees, ...]: ...

    def export(self, builder: Builder) -> str: ...


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The best recipe, how every recipe did, and its scores of the validation rows."""

    recipe: Recipe
    values: Mapping[str, float]
    scores: Floats
    recent: slice


def train(request: TrainingRequest, progress: Progress) -> Candidate:
    """Choose, fit, export, compare with the fitted model, choose thresholds, describe.

    Raises:
        TrainingFailed: says at which model, column or step, and why.
    """
    refuse_unusable(request)
    measure_named(request.measure_name)
    # On a busy machine a second OpenMP thread costs more than it gives.
    with threadpool_limits(1):
        chosen = _choose(request, progress)
        progress("fit", 0.6)
        fitted = fit(request, chosen.recipe, slice(None))
        if isinstance(fitted, FittedEstimator):
            fitted.refuse_random(_parity_rows(request))
        forest = _forest(request) if request.outlier else None
        progress("export", 0.85)
        graph = export(request, fitted, forest)
        progress("parity", 0.95)
        require_parity(request, fitted, forest, graph)
    progress("trained", 1.0)
    return Candidate(
        files={GRAPH: graph, **_baselines(request)},
        components=(*request.task.outputs, *((OUTLIER,) if forest else ())),
        feature_names=request.names,
        feature_set_version=request.feature_set_version,
        thresholds=_thresholds(request, chosen, forest),
        hyperparameters=_hyperparameters(request, chosen, fitted, progress),
        frameworks=_frameworks(),
    )


def _hyperparameters(
    request: TrainingRequest, chosen: _Chosen, fitted: FittedModel, progress: Progress
) -> Mapping[str, Any]:
    """The recipe, which stays the same from run to run, and what this run chose by it.

    Of several candidates the recipe is their list: that another one wins is not a new recipe.
    """
    model = {"model": chosen.recipe.model, **fitted.hyperparameters}
    measure = request.measure_name
    found = {
        "candidate": chosen.recipe.title,
        "validation_rows": chosen.recent.stop - chosen.recent.start,
        "validation": {title: {measure: value} for title, value in chosen.values.items()},
        **_folds(request, chosen.recipe, progress),
    }
    if len(request.recipes) == 1:
        return {**model, "seed": request.seed, CHOSEN: found}
    titles = [recipe.title for recipe in request.recipes]
    return {
        "candidates": titles, "measure": measure, "seed": request.seed, CHOSEN: {**model, **found},
    }  # fmt: skip


def _folds(request: TrainingRequest, recipe: Recipe, progress: Progress) -> Mapping[str, Any]:
    """The measure on each part of the time, trained on all others (cross-validation).

    Reported only, never judged: each part has training rows before and after it.
    """
    if not request.folds:
        return {}
    rows = np.arange(len(request.matrix))
    parts = np.array_split(rows, request.folds)
    asked = [_Fit(recipe, np.setdiff1d(rows, part, assume_unique=True), part) for part in parts]
    names = [f"fold {at + 1} of {len(parts)}" for at in range(len(parts))]
    measure = measure_named(request.measure_name)
    values: list[float | None] = []
    fitted = _fit_all(request, asked, names, lambda _share: progress("folds", 0.98))
    for part, found in zip(parts, fitted, strict=True):
        if isinstance(found, str):
            # e.g. a class that occurs only in this part: skip it, and use the other parts
            values.append(None)
            continue
        value = measure.of(found, request.labels[part].astype(np.float64)).value
        values.append(round(measure.shown(value), 6) if math.isfinite(value) else None)
    return {"folds": values}


@dataclass(frozen=True, slots=True)
class _Fit:
    """One recipe, the rows that it learns from, and those that it then scores."""

    recipe: Recipe
    train: Rows
    score: Rows


def fit_and_score(request: TrainingRequest, asked: _Fit) -> Floats | str:
    """A task of an executor: the scores, or why there are none."""
    # On a busy machine a second OpenMP thread costs more than it gives.
    with threadpool_limits(1):
        try:
            fitted = fit(request, asked.recipe, asked.train)
            return fitted.predict(request.matrix[asked.score])
        except TrainingFailed as error:
            return str(error)


def _fit_all(
    request: TrainingRequest,
    asked: Sequence[_Fit],
    names: Sequence[str],
    progress: Callable[[float], None],
) -> list[Floats | str]:
    """All of them, wherever this run carries out its tasks."""
    try:
        return current_executor().map(
            fit_and_score,
            request,
            asked,
            names=names,
            watch=lambda done: progress(done / len(asked)),
        )
    except TaskFailed as error:
        raise TrainingFailed(str(error)) from error


def fit(request: TrainingRequest, recipe: Recipe, rows: Rows) -> FittedModel:
    """One recipe on some of the rows.

    Raises:
        TrainingFailed: says why.
    """
    return _BUILT_IN.get(recipe.model, fit_estimator)(request, recipe, rows)


def _choose(request: TrainingRequest, progress: Progress) -> _Chosen:
    """Fit every recipe on the older rows; the best on the newer ones wins, ties the first."""
    cut = max(1, round(len(request.matrix) * (1.0 - request.validation_share)))
    recent = slice(min(cut, len(request.matrix) - 1), len(request.matrix))
    measure = measure_named(request.measure_name)
    truth = request.labels[recent].astype(np.float64)
    values, faults = {}, []
    best: tuple[float, Recipe, Floats] | None = None
    tried = [_Fit(recipe, slice(0, recent.start), recent) for recipe in request.recipes]
    titles = [recipe.title for recipe in request.recipes]
    fitted = _fit_all(request, tried, titles, lambda share: progress("candidates", 0.6 * share))
    for recipe, scores in zip(request.recipes, fitted, strict=True):
        if isinstance(scores, str):
            faults.append(scores)
            continue
        value = measure.of(scores, truth).value if np.isfinite(scores).all() else -math.inf
        values[recipe.title] = round(measure.shown(value), 6) if math.isfinite(value) else math.nan
        rank = value if math.isfinite(value) else -math.inf
        if best is None or rank > best[0]:
            best = (rank, recipe, scores)
    if best is None:
        raise TrainingFailed("; ".join(faults))
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    return _Chosen(best[1], finite, best[2], recent)


def _forest(request: TrainingRequest) -> FittedIsolationForest:
    numbers = request.numbers.tolist()
    if not numbers:
        raise TrainingFailed("outlier: there is no number column; set outlier = false")
    usual = request.matrix
    if request.task.kind is TaskKind.BINARY and (request.labels == 0).any():
        usual = request.matrix[request.labels == 0]
    return fit_isolation_forest(usual, numbers, DefaultForest(), request.seed)


def export(
    request: TrainingRequest, fitted: FittedModel, forest: FittedIsolationForest | None
) -> bytes:
    """The graph that is served.

    Raises:
        TrainingFailed: it cannot be made, or uses what no bundle may hold.
    """
    parts: tuple[Exportable, ...] = (fitted,) if forest is None else (fitted, forest)
    width = request.task.width + (forest is not None)
    graph = to_onnx(parts, len(request.columns), width)
    try:
        check_graph(GRAPH, graph)
    except BundleMalformed as error:
        raise TrainingFailed(f"export: {error}") from error
    return graph


def require_parity(
    request: TrainingRequest,
    fitted: FittedModel,
    forest: FittedIsolationForest | None,
    graph: bytes,
) -> None:
    """Raises TrainingFailed, naming the step, when the graph's result differs."""
    rows = _parity_rows(request)
    native = fitted.predict(rows).reshape(len(rows), -1)
    try:
        scores = run_graph(graph, rows)
    except Exception as error:
        raise TrainingFailed(f"export: the graph does not run: {str(error)[:300]}") from error
    parity = compare_scores(
        native,
        scores[:, : request.task.width],
        rows_on_a_split(fitted.targets(), rows),
        tolerance(request, native),
    )
    unexplained = parity.differing_rows - parity.differing_rows_on_a_split
    if unexplained:
        raise TrainingFailed(
            f"export: {unexplained} of {parity.rows} rows score differently in the graph, "
            f"by up to {parity.largest_difference:.3g}: {_where(fitted, rows)}"
        )
    if forest is not None:
        unusual = forest.score(rows).reshape(-1, 1)
        on_a_split = rows_on_a_split(forest.targets(), forest.clipped(rows))
        of_forest = compare_scores(unusual, scores[:, -1:], on_a_split)
        if of_forest.differing_rows > of_forest.differing_rows_on_a_split:
            raise TrainingFailed("export: the outlier component scores differently in the graph")


def _parity_rows(request: TrainingRequest) -> FloatMatrix:
    """Rows from all over the training rows."""
    return request.matrix[:: max(len(request.matrix) // PARITY_ROWS, 1)]


def tolerance(request: TrainingRequest, native: Floats) -> float | Floats:
    """The tolerance of float32: absolute for probabilities, relative for values."""
    if request.task.is_classification:
        return TOLERANCE
    spread = float(np.std(native)) if len(native) else 0.0
    return np.asarray(TOLERANCE * np.maximum(np.abs(native).max(axis=1), spread))


def _where(fitted: FittedModel, rows: FloatMatrix) -> str:
    if isinstance(fitted, FittedEstimator):
        return differing_step(fitted, rows)
    return type(fitted).__name__


def _thresholds(
    request: TrainingRequest, chosen: _Chosen, forest: FittedIsolationForest | None
) -> Mapping[str, float]:
    found = {}
    if request.task.kind is TaskKind.BINARY:
        labels = request.labels[chosen.recent]
        found[DECISION] = decision_threshold(chosen.scores, labels)
    if forest is not None:
        unusual = forest.score(request.matrix[chosen.recent])
        found[OUTLIER] = outlier_threshold(unusual, request.outlier_share)
    return found


def _frameworks() -> Mapping[str, str]:
    found = {"python": platform.python_version()}
    for name in _FRAMEWORKS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _fit_ranking(request: TrainingRequest, recipe: Recipe, rows: Rows) -> FittedModel:
    from learning.trainers.ranking import fit_ranking  # noqa: PLC0415 - torch takes a second

    return fit_ranking(request, recipe, rows)


def _baselines(request: TrainingRequest) -> Mapping[str, bytes]:
    """Graphs of what the model of a ranking has to beat, whatever its recipe."""
    if request.task.kind is not TaskKind.RANKING:
        return {}
    return {baseline_path(name): graph for name, graph in baseline_graphs(request).items()}


_BUILT_IN: Mapping[str, Callable[[TrainingRequest, Recipe, Rows], FittedModel]] = {
    "gradient_boosting": fit_boosting,
    "denoising_autoencoder": _fit_ranking,
}
