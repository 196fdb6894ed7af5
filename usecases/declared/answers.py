"""Answers of a declared use case: the task's own fields, the row's id and the version."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from shared.rows.request_fields import role_fields
from shared.rows.schema import Row, RowSchema
from shared.tasks import TaskKind, answer_function, comparison_value, response_model
from shared.tasks.answer import DECISION, DEFAULT_DECISION, AnswerFields, AnswerFunction
from shared.usecase.serving import Answer, FloatVector, ServedModel, TaskPrediction

_MOST_REMEMBERED = 8
ONE_VALUE = "value"
"""The decision of a regression, whose answers are not words."""


class Predictor:
    """Answers /predict; looks a version's components up once."""

    def __init__(self, schema: RowSchema) -> None:
        self._task = schema.task
        self._id_field = role_fields(schema).row_id
        self._functions: dict[str, AnswerFunction] = {}

    def __call__(
        self,
        transaction: Row,
        vector: FloatVector,  # noqa: ARG002 - every responder gets the vector
        scores: FloatVector,
        model: ServedModel,
    ) -> Answer:
        outputs = scores.tolist()
        fields = self._function(model)(outputs)
        body: dict[str, Any] = {
            self._id_field: transaction.row_id,
            **fields,
            "version": model.version,
        }
        score = comparison_value(self._task, outputs)
        return Answer(body=body, score=score, decision=decision_text(self._task.kind, fields))

    def _function(self, model: ServedModel) -> AnswerFunction:
        known = self._functions.get(model.version)
        if known is None:
            if len(self._functions) >= _MOST_REMEMBERED:
                self._functions.clear()
            known = answer_function(self._task, model.components, model.thresholds)
            self._functions[model.version] = known
        return known


def decision_text(kind: TaskKind, fields: AnswerFields) -> str:
    """The decision as one word: a class, the best item; empty for a regression."""
    if kind is TaskKind.RANKING:
        return str(fields["items"][0]["item"])
    return ONE_VALUE if kind is TaskKind.REGRESSION else str(fields["prediction"])


def answer_model(schema: RowSchema) -> type[BaseModel]:
    """The schema of the answer."""
    fields: Mapping[str, Any] = {role_fields(schema).row_id: (str, ...), "version": (str, ...)}
    return response_model(schema.task, f"{schema.name.title().replace('_', '')}Prediction",
                          **fields)  # fmt: skip


def first_output(scores: FloatVector, model: ServedModel) -> TaskPrediction:
    """One model's judgement of a row of a binary task or a regression."""
    score = float(scores[0])
    limit = model.thresholds.get(DECISION, DEFAULT_DECISION)
    return TaskPrediction(score=score, is_alert=score >= limit)


def best_output(scores: FloatVector, model: ServedModel) -> TaskPrediction:
    """One model's judgement of a row of several classes or items: the best one and its score."""
    outputs = scores.tolist()[: len(model.components)]
    best = max(range(len(outputs)), key=outputs.__getitem__)
    sure = min(max(outputs[best], 0.0), 1.0 - 2.0**-20)
    return TaskPrediction(score=best + sure, is_alert=False)
