"""The answer: which fields a prediction has, and how they are made of the graph's outputs."""

import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field, create_model

from shared.tasks.task import OUTLIER, Task, TaskKind

DECISION = "decision"
"""The threshold at or above which a binary task answers its positive class."""

DEFAULT_DECISION = 0.5
SHOWN_ITEMS = 10

AnswerFields = dict[str, Any]
AnswerFunction = Callable[[Sequence[float]], AnswerFields]
"""One row's outputs, in the order of the components -> the answer's fields."""


class RankedItem(BaseModel):
    """One item of a ranked list."""

    item: str
    score: float


_TASK_FIELDS: Mapping[TaskKind, Mapping[str, Any]] = {
    TaskKind.BINARY: {
        "prediction": (str, Field(description="The predicted class")),
        "probability": (float, Field(description="Probability of the positive class")),
    },
    TaskKind.MULTICLASS: {
        "prediction": (str, Field(description="The most probable class")),
        "probability": (float, Field(description="Its probability")),
        "probabilities": (dict[str, float], Field(description="Probability of every class")),
    },
    TaskKind.REGRESSION: {
        "prediction": (float, Field(description="The predicted value")),
    },
    TaskKind.RANKING: {
        "items": (list[RankedItem], Field(description="The best items, the best one first")),
    },
}
_OUTLIER_FIELDS: Mapping[str, Any] = {
    "is_outlier": (bool | None, Field(None, description="The row is unlike the training rows")),
    "outlier_score": (float | None, Field(None, description="In (0, 1]; higher is less usual")),
}


def response_model(task: Task, name: str = "Prediction", **more: Any) -> type[BaseModel]:
    """The answer's schema; `more` are further fields, as for pydantic's `create_model`."""
    fields: dict[str, Any] = {**_TASK_FIELDS[task.kind], **_OUTLIER_FIELDS, **more}
    model: type[BaseModel] = create_model(name, **fields)
    return model


def answer_function(
    task: Task, components: Sequence[str], thresholds: Mapping[str, float]
) -> AnswerFunction:
    """Makes one version's answers; all lookups are done in advance.

    Raises:
        ValueError: the version's components are not the outputs of the task.
    """
    check_components(task, components)
    fields = _FIELDS[task.kind](task, thresholds)
    if OUTLIER not in components:
        return fields
    limit = thresholds.get(OUTLIER, float("inf"))

    def with_outlier(outputs: Sequence[float]) -> AnswerFields:
        answer = fields(outputs)
        unusual = outputs[-1]
        # `not <=` instead of `>`: NaN counts as unusual
        answer["is_outlier"] = not unusual <= limit
        answer["outlier_score"] = unusual
        return answer

    return with_outlier


def check_components(task: Task, components: Sequence[str]) -> None:
    """Raises ValueError when these are not the outputs of the task."""
    found = tuple(components)
    if found not in (task.outputs, (*task.outputs, OUTLIER)):
        wanted = ", ".join(task.outputs[:4])
        raise ValueError(
            f"a {task.kind} model of {task.width} outputs ({wanted}, ...) is needed; "
            f"this one answers {', '.join(found[:4])}"
        )


def _binary(task: Task, thresholds: Mapping[str, float]) -> AnswerFunction:
    negative, positive = task.names
    limit = thresholds.get(DECISION, DEFAULT_DECISION)

    def fields(outputs: Sequence[float]) -> AnswerFields:
        probability = outputs[0]
        prediction = positive if probability >= limit else negative
        return {"prediction": prediction, "probability": probability}

    return fields


def _multiclass(task: Task, thresholds: Mapping[str, float]) -> AnswerFunction:
    del thresholds
    names, width = task.names, task.width

    def fields(outputs: Sequence[float]) -> AnswerFields:
        probabilities = outputs[:width]
        best = max(range(width), key=probabilities.__getitem__)
        return {
            "prediction": names[best],
            "probability": probabilities[best],
            "probabilities": dict(zip(names, probabilities, strict=True)),
        }

    return fields


def _regression(task: Task, thresholds: Mapping[str, float]) -> AnswerFunction:
    del task, thresholds
    return lambda outputs: {"prediction": outputs[0]}


def _ranking(task: Task, thresholds: Mapping[str, float]) -> AnswerFunction:
    del thresholds
    names, width = task.names, task.width

    def fields(outputs: Sequence[float]) -> AnswerFields:
        best = heapq.nlargest(SHOWN_ITEMS, range(width), key=outputs.__getitem__)
        return {"items": [{"item": names[place], "score": outputs[place]} for place in best]}

    return fields


_FIELDS: Mapping[TaskKind, Callable[[Task, Mapping[str, float]], AnswerFunction]] = {
    TaskKind.BINARY: _binary,
    TaskKind.MULTICLASS: _multiclass,
    TaskKind.REGRESSION: _regression,
    TaskKind.RANKING: _ranking,
}
