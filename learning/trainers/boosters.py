"""LightGBM and XGBoost as Pipelines that take words: one-hot where a word is frequent enough."""

from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from learning.export.categories import MIN_ROWS
from learning.trainers.converting import REMEDY
from learning.trainers.frame import frame_columns
from learning.trainers.request import TrainingRequest
from shared.errors import TrainingFailed

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
