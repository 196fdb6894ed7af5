"""LightGBM and XGBoost as Pipelines, and skl2onnx with their converters, where they are installed.

The Pipelines take words: one-hot where a word is frequent enough.
"""

import warnings
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import onnx
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from learning.export.categories import MIN_ROWS
from learning.export.graph import OPSETS
from learning.trainers.frame import frame_columns
from learning.trainers.request import InputColumn, TrainingRequest
from shared.errors import TrainingFailed

REMEDY = "pip install -r requirements/converters.txt"


def convert(estimator: Any, columns: Sequence[InputColumn]) -> onnx.ModelProto:
    """A fitted estimator as a graph with one input for each column of the frame.

    Raises:
        TrainingFailed: no converter is installed, or none supports it.
    """
    if find_spec("skl2onnx") is None:
        raise TrainingFailed(f"an estimator of your own needs skl2onnx: {REMEDY}")
    from skl2onnx import convert_sklearn  # noqa: PLC0415 - an extra
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType  # noqa: PLC0415

    _register()
    inputs = [
        (item.name, (StringTensorType if item.column.is_category else FloatTensorType)([None, 1]))
        for item in frame_columns(columns)
    ]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model: onnx.ModelProto = convert_sklearn(
                estimator,
                initial_types=inputs,
                target_opset={**dict(OPSETS), "ai.onnx.ml": dict(OPSETS)["ai.onnx.ml"]},
                options=_options(estimator),
            )
    except Exception as error:
        what = type(_final(estimator)).__name__
        raise TrainingFailed(
            f"export: {what} cannot be converted: {_first_line(error)}; use another step, or "
            "write its features in [columns]"
        ) from error
    return model


def _options(estimator: Any) -> dict[int, dict[str, Any]] | None:
    final = _final(estimator)
    return {id(final): {"zipmap": False}} if hasattr(final, "predict_proba") else None


def _final(estimator: Any) -> Any:
    return _final(estimator.steps[-1][1]) if hasattr(estimator, "steps") else estimator


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]


@cache
def _register() -> None:
    """Once a process: the registry is global."""
    if find_spec("onnxmltools") is None:
        return
    if find_spec("lightgbm") is not None:
        _register_lightgbm()
    if find_spec("xgboost") is not None:
        _register_xgboost()


def _register_lightgbm() -> None:
    from lightgbm import LGBMClassifier, LGBMRegressor  # noqa: PLC0415
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import (  # noqa: PLC0415
        convert_lightgbm,
    )
    from skl2onnx import update_registered_converter  # noqa: PLC0415
    from skl2onnx.common.shape_calculator import (  # noqa: PLC0415
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )

    update_registered_converter(
        LGBMClassifier, "LightGbmLGBMClassifier", calculate_linear_classifier_output_shapes,
        convert_lightgbm, options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
    )  # fmt: skip
    update_registered_converter(
        LGBMRegressor, "LightGbmLGBMRegressor", calculate_linear_regressor_output_shapes,
        convert_lightgbm, options={"split": None},
    )  # fmt: skip


def _register_xgboost() -> None:
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import (  # noqa: PLC0415
        convert_xgboost,
    )
    from skl2onnx import update_registered_converter  # noqa: PLC0415
    from skl2onnx.common.shape_calculator import (  # noqa: PLC0415
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )
    from xgboost import XGBClassifier, XGBRegressor  # noqa: PLC0415

    update_registered_converter(
        XGBClassifier, "XGBoostXGBClassifier", calculate_linear_classifier_output_shapes,
        convert_xgboost, options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
    )  # fmt: skip
    update_registered_converter(
        XGBRegressor, "XGBoostXGBRegressor", calculate_linear_regressor_output_shapes,
        convert_xgboost,
    )  # fmt: skip


_TREES = {"n_estimators": 120, "learning_rate": 0.08, "n_jobs": 1}


def lightgbm_pipeline(request: TrainingRequest) -> Pipeline:
    """Raises TrainingFailed when LightGBM is not installed."""
    try:
        from lightgbm import LGBMClassifier, LGBMRegressor  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise TrainingFailed(f"lightgbm is not installed: {REMEDY}") from error
    made = LGBMClassifier if request.task.is_classification else LGBMRegressor
    return _pipeline(request, made(num_leaves=16, verbose=-1, deterministic=True, **_TREES))


def xgboost_pipeline(request: TrainingRequest) -> Pipeline:
    """Raises TrainingFailed when XGBoost is not installed."""
    try:
        from xgboost import XGBClassifier, XGBRegressor  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise TrainingFailed(f"xgboost is not installed: {REMEDY}") from error
    made = XGBClassifier if request.task.is_classification else XGBRegressor
    return _pipeline(request, made(max_leaves=16, max_depth=8, **_TREES))


def _pipeline(request: TrainingRequest, model: Any) -> Pipeline:
    words = [item.name for item in frame_columns(request.columns) if item.column.is_category]
    if not words:
        return Pipeline([("model", model)])
    one_hot = OneHotEncoder(
        handle_unknown="ignore", min_frequency=MIN_ROWS, sparse_output=False, dtype="float32"
    )
    encode = ColumnTransformer([("words", one_hot, words)], remainder="passthrough")
    return Pipeline([("encode", encode), ("model", model)])
