"""Custom estimators: scikit-learn's, LightGBM's and XGBoost's, alone or in a Pipeline.

They learn from a DataFrame and are exported by skl2onnx (`requirements/converters.txt`), or write
their own nodes (`OwnNodes`) where there is no converter, as for a network of torch. Converters are
wrong in known ways, so the graph is compared with the estimator before anything else happens to it,
and a difference names the step of the Pipeline where it begins.
"""

import importlib
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import onnx
from sklearn.base import clone, is_classifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from learning.export.graph import Builder
from learning.export.trees import SummedTrees
from learning.trainers.frame import add_frame_inputs, to_frame
from learning.trainers.request import Floats, InputColumn, Recipe, TrainingRequest
from shared.errors import TrainingFailed
from shared.tasks import Task, TaskKind
from shared.usecase.serving import FloatMatrix

if TYPE_CHECKING:
    import pandas as pd

_PREFIX = "estimator_"
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_NESTED = ("steps", "transformers", "transformer_list", "estimators")
"""Parameters that hold estimators, whose own parameters are listed one by one."""
_FAULTS = (Exception, SystemExit)
"""Whatever code of a person's own may raise; a module that calls sys.exit() is not an exception."""
_SHOWN_COLUMNS = 20
_ROUNDED = 1e-6
"""A probability of float32 may lie this much beyond 0 or 1."""


@runtime_checkable
class OwnNodes(Protocol):
    """An estimator that writes its own part of the graph."""

    def add_nodes(self, builder: Builder, columns: Mapping[str, str]) -> str:
        """Add nodes; returns the name of the (rows, outputs) tensor.

        `columns` are the tensors of the frame's columns by name, (rows, 1) each.
        """
        ...


@dataclass(frozen=True, slots=True)
class FittedEstimator:
    """A fitted estimator; `predict` is its own arithmetic on the frame of the vectors.

    Attributes:
        model: where it was found, `module:attribute`.
    """

    model: str
    task: Task
    estimator: Any
    columns: tuple[InputColumn, ...]
    hyperparameters: Mapping[str, Any]

    def predict(self, matrix: FloatMatrix) -> Floats:
        """Raises TrainingFailed when it raises, or does not answer every row with numbers."""
        answered = self._answered(matrix)
        if not self.task.is_classification:
            return answered.reshape(-1) if self.task.kind is TaskKind.REGRESSION else answered
        whole = np.zeros((len(answered), len(self.task.names)))
        whole[:, self._classes] = answered
        return whole[:, 1] if self.task.kind is TaskKind.BINARY else whole

    def _answered(self, matrix: FloatMatrix) -> Floats:
        frame, is_class = to_frame(matrix, self.columns), self.task.is_classification
        method = "predict_proba" if is_class else "predict"
        try:
            answered = np.asarray(getattr(self.estimator, method)(frame), dtype=np.float64)
            width = len(self._classes) if is_class else self.task.width
        except _FAULTS as error:
            raise TrainingFailed(f"{self.model}: {method}: {_told(error, frame)}") from error
        if answered.size != len(frame) * width:
            raise TrainingFailed(
                f"{self.model}: {method} answers the shape {answered.shape} to {len(frame)} rows: "
                f"it has to be ({len(frame)}, {width})"
            )
        answered = answered.reshape(len(frame), width)
        wrong = int((~np.isfinite(answered)).any(axis=1).sum())
        if wrong:
            raise TrainingFailed(
                f"{self.model}: {method} answers {wrong} of {len(frame)} rows with NaN or "
                "infinity: put a SimpleImputer before it if values are missing"
            )
        if is_class:
            self._refuse_scores(answered)
        return answered

    def _refuse_scores(self, answered: Floats) -> None:
        """Raises TrainingFailed where what is called a probability is some other score."""
        beyond = (answered < -_ROUNDED) | (answered > 1.0 + _ROUNDED)
        wrong = int(beyond.any(axis=1).sum())
        if wrong:
            raise TrainingFailed(
                f"{self.model}: predict_proba answers {wrong} of {len(answered)} rows with "
                f"numbers outside of 0 to 1, such as {answered[beyond][0]:g}: wrap it in "
                "sklearn's CalibratedClassifierCV"
            )

    def refuse_random(self, matrix: FloatMatrix) -> None:
        """Raises TrainingFailed when the same rows are answered in another way the second time."""
        if not np.allclose(self.predict(matrix), self.predict(matrix), rtol=1e-6, atol=1e-9):
            raise TrainingFailed(
                f"{self.model} answers the same rows differently each time it is asked: make its "
                "answers depend on the row alone (chance belongs into fit, with a random_state)"
            )

    def targets(self) -> tuple[SummedTrees, ...]:
        """None: where its trees split is not known, so no difference is explained by that."""
        return ()

    def export(self, builder: Builder) -> str:
        """Raises TrainingFailed when there is no converter for some step."""
        inputs = add_frame_inputs(builder, self.columns)
        if isinstance(self.estimator, OwnNodes):
            return self._scores(builder, self.estimator.add_nodes(builder, inputs))
        model = self.converted(self.estimator)
        builder.inline(model, _PREFIX, inputs)
        return self._scores(builder, _PREFIX + model.graph.output[-1].name)

    def converted(self, estimator: Any) -> onnx.ModelProto:
        """The estimator, or a part of it, as a separate graph."""
        from learning.trainers.converting import convert  # noqa: PLC0415 - an extra

        return convert(estimator, self.columns)

    @property
    def _classes(self) -> npt.NDArray[np.int64]:
        return np.asarray(self.estimator.classes_, dtype=np.int64)

    def _scores(self, builder: Builder, output: str) -> str:
        """The converter's output as float32 columns of the task."""
        scores = builder.add("Cast", [output], "estimator_float", to=onnx.TensorProto.FLOAT)
        if self.task.kind is TaskKind.BINARY:
            second = builder.constant("estimator_second", [1], np.int64)
            return builder.add("Gather", [scores, second], "estimator_positive", axis=1)
        if self.task.kind is TaskKind.MULTICLASS and len(self._classes) < len(self.task.names):
            place = np.zeros((len(self._classes), len(self.task.names)), dtype=np.float32)
            place[np.arange(len(self._classes)), self._classes] = 1.0
            builder.constant("estimator_places", place)
            return builder.add("MatMul", [scores, "estimator_places"], "estimator_all")
        shape = builder.constant("estimator_shape", [-1, self.task.width], np.int64)
        return builder.add("Reshape", [scores, shape], "estimator_shaped")


def fit_estimator(
    request: TrainingRequest, recipe: Recipe, rows: slice | npt.NDArray[np.int64]
) -> FittedEstimator:
    """Fit on some of the rows.

    Raises:
        TrainingFailed: it cannot be found, does not fit the task, or raises.
    """
    estimator = _made(recipe, request)
    _refuse_unfit(estimator, request.task, recipe.model)
    labels = request.labels[rows]
    if request.task.is_classification:
        labels = labels.astype(np.int64)
    frame = to_frame(request.matrix[rows], request.columns)
    try:
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.fit(frame, labels)
    except _FAULTS as error:
        raise TrainingFailed(f"{recipe.model}: {_told(error, frame)}") from error
    names = _parameters(estimator)
    return FittedEstimator(recipe.model, request.task, estimator, request.columns, names)


def _made(recipe: Recipe, request: TrainingRequest) -> Any:
    """A new estimator with the settings of the recipe and the seed of the run."""
    found = _loaded(recipe.model, request)
    try:
        return _seeded(clone(found.set_params(**recipe.settings)), request.seed)
    except _FAULTS as error:
        raise TrainingFailed(f"{recipe.model}: {_in_words(error)}") from error


def _in_words(error: BaseException) -> str:
    """An exception on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"


def _told(error: BaseException, frame: "pd.DataFrame") -> str:
    """The same; of one about a column with the columns that there are."""
    said = _in_words(error)
    if isinstance(error, KeyError) or "column" in said:
        shown = ", ".join(map(str, frame.columns[:_SHOWN_COLUMNS]))
        more = ", ..." if len(frame.columns) > _SHOWN_COLUMNS else ""
        said += f"; it is given the columns {shown}{more}: declare others in [columns]"
    return said


def _parameters(estimator: Any) -> Mapping[str, str]:
    """Every setting of the estimator and its steps, as the same text in every run."""
    return {
        name: _ADDRESS.sub("", repr(value))[:200]
        for name, value in sorted(estimator.get_params().items())
        if not (hasattr(value, "get_params") or name.split("__")[-1] in _NESTED)
    }


def _loaded(path: str, request: TrainingRequest) -> Any:
    """The estimator at `module:attribute`, or what a function there returns."""
    if path in READY_MADE:
        return READY_MADE[path](request)
    module_name, _, attribute = path.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise TrainingFailed(
            f"model {path!r} cannot be loaded: {error}; write 'package.module:attribute'"
        ) from error
    except _FAULTS as error:
        raise TrainingFailed(
            f"model {path!r} cannot be loaded: its module raises {_in_words(error)}"
        ) from error
    try:
        made = found() if callable(found) and not hasattr(found, "get_params") else found
    except _FAULTS as error:
        raise TrainingFailed(f"{path}: {_in_words(error)}") from error
    if not hasattr(made, "fit") or not hasattr(made, "get_params") or isinstance(made, type):
        raise TrainingFailed(
            f"{path} is not an estimator, nor a function that returns one: name an object that has "
            "fit and get_params, not its class"
        )
    return made


def _seeded(estimator: Any, seed: int) -> Any:
    """Sets every random state to the run's seed, so that a repeated training is identical."""
    free = {
        name: seed
        for name, value in estimator.get_params().items()
        if name.split("__")[-1] == "random_state" and value is None
    }
    return estimator.set_params(**free)


def _refuse_unfit(estimator: Any, task: Task, name: str) -> None:
    if is_classifier(estimator) != task.is_classification:
        wanted = "classifier" if task.is_classification else "regressor"
        raise TrainingFailed(f"{name}: a {task.kind} needs a {wanted}")
    if task.is_classification and not hasattr(estimator, "predict_proba"):
        raise TrainingFailed(
            f"{name} answers no probabilities: wrap it in sklearn's CalibratedClassifierCV"
        )


def _lightgbm(request: TrainingRequest) -> Any:
    from learning.trainers.converting import lightgbm_pipeline  # noqa: PLC0415 - an extra

    return lightgbm_pipeline(request)


def _xgboost(request: TrainingRequest) -> Any:
    from learning.trainers.converting import xgboost_pipeline  # noqa: PLC0415 - an extra

    return xgboost_pipeline(request)


READY_MADE: Mapping[str, Callable[[TrainingRequest], Any]] = {
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
}
