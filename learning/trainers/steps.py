"""Finds the step of a Pipeline whose result differs between the graph and scikit-learn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from learning.trainers.estimator import FittedEstimator
from learning.trainers.frame import frame_columns, to_frame
from learning.trainers.request import InputColumn
from shared.errors import TrainingFailed
from shared.usecase.serving import FloatMatrix

if TYPE_CHECKING:
    import pandas as pd

_TOLERANCE = 1e-5


def differing_step(fitted: FittedEstimator, matrix: FloatMatrix) -> str:
    """The name of the first step that differs; the estimator's own where no earlier one does."""
    steps = list(getattr(fitted.estimator, "steps", []))
    frame = to_frame(matrix, fitted.columns)
    for count in range(1, len(steps)):
        name, step = steps[count - 1]
        so_far = fitted.estimator[:count]
        fault = _fault(fitted, so_far, frame)
        if fault is not None:
            return f"step {_inner(fitted, name, step, frame, is_first=count == 1)} {fault}"
    last = steps[-1] if steps else ("", fitted.estimator)
    name = f"step {last[0]} ({type(last[1]).__name__})" if steps else type(last[1]).__name__
    return f"{name} answers differently"


def _inner(
    fitted: FittedEstimator, name: str, step: Any, frame: "pd.DataFrame", *, is_first: bool
) -> str:
    """The data-dependent part of a ColumnTransformer that reads the frame itself."""
    if is_first:
        for part, transformer, columns in getattr(step, "transformers_", []):
            if not hasattr(transformer, "transform") or isinstance(columns, slice):
                continue
            if _fault(fitted, transformer, frame[list(_names(columns, frame))]) is not None:
                return f"{name}.{part} ({type(transformer).__name__})"
    return f"{name} ({type(step).__name__})"


def _names(columns: Any, frame: "pd.DataFrame") -> Sequence[str]:
    if isinstance(columns, str):
        return [columns]
    chosen = np.asarray(columns)
    if chosen.dtype.kind in "biu":
        return [str(name) for name in frame.columns[chosen]]
    return [str(name) for name in chosen]


def _fault(fitted: FittedEstimator, part: Any, frame: "pd.DataFrame") -> str | None:
    columns = [item.column for item in frame_columns(fitted.columns) if item.name in frame.columns]
    try:
        wanted = _dense(part.transform(frame))
        found = _run(_converted(part, columns), frame, columns)
    except TrainingFailed as error:
        return f"cannot be converted: {error}"
    except Exception as error:  # noqa: BLE001 - a part that cannot be run alone is no proof
        return f"cannot be run alone: {type(error).__name__}"
    if wanted.dtype.kind not in "fiub" or found.dtype.kind not in "fiub":
        return None if np.array_equal(wanted.astype(str), found.astype(str)) else "differs"
    if wanted.shape != found.shape:
        return f"has {found.shape[1:]} columns in the graph, not {wanted.shape[1:]}"
    scale = 1.0 + np.abs(np.nan_to_num(wanted))
    near = np.abs(wanted - found) <= _TOLERANCE * scale
    same = near | (np.isnan(wanted) & np.isnan(found))
    return None if same.all() else f"differs in {int((~same).any(axis=1).sum())} rows"


def _converted(part: Any, columns: Sequence[InputColumn]) -> bytes:
    from learning.trainers.converting import convert  # noqa: PLC0415 - an extra

    raw: bytes = convert(part, columns).SerializeToString()
    return raw


def _run(graph: bytes, frame: "pd.DataFrame", columns: Sequence[InputColumn]) -> Any:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    feeds = {}
    for item in frame_columns(columns):
        values = frame[item.name].to_numpy()
        kind = object if item.column.is_category else np.float32
        feeds[item.name] = values.astype(kind).reshape(-1, 1)
    wanted = {node.name for node in session.get_inputs()}
    inputs = {name: values for name, values in feeds.items() if name in wanted}
    return _dense(session.run(None, inputs)[-1])


def _dense(values: Any) -> Any:
    whole = values.toarray() if hasattr(values, "toarray") else values
    return np.asarray(whole).reshape(len(whole), -1)
