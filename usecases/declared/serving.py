"""The serving half of a declared use case: request model, vector, answers and their reasons."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from pydantic import BaseModel
from sqlalchemy import Engine

from shared.clock import isoformat
from shared.rows.declaration import FILE_NAME, Declaration, read_declaration
from shared.rows.encoder import RowEncoder, feature_set_of, slots_of
from shared.rows.examples import read_examples
from shared.rows.schema import Kind, Row, RowSchema, Value
from shared.tasks import Task, TaskKind
from shared.tasks.labels import LabelWords
from shared.transaction import Label
from shared.usecase.serving import (
    FeatureSet,
    FloatMatrix,
    FloatVector,
    ReasonRule,
    Reservation,
    Responder,
    ScoringRoute,
    ServedModel,
    TaskPrediction,
)
from usecases.declared.answers import (
    ONE_VALUE,
    Predictor,
    answer_model,
    best_output,
    first_output,
)
from usecases.declared.request import RowMaker, request_model


def reason_rule(schema: RowSchema, default: int) -> ReasonRule:
    """The rule of a schema; `default` reasons where a caller names no number."""
    places = {name: at for at, name in enumerate(schema.names)}
    width = schema.task.width

    def value(row: Row, name: str, _number: float | None) -> Value:
        written = row.values[places[name]]
        kind = schema.column(name).kind
        if written is None:
            return None
        if kind is Kind.MOMENT:
            return isoformat(int(written))
        # the database returns flags as 0 or 1
        return bool(written) if kind is Kind.FLAG else written

    def target(scores: FloatVector, _model: ServedModel) -> int:
        """The answered class, where each class has a raw score."""
        return int(scores[:width].argmax()) if schema.task.kind is TaskKind.MULTICLASS else 0

    names = {slot.name: slot.column for slot in slots_of(schema)}
    return ReasonRule(default, names, value, target)  # type: ignore[arg-type]


class RowFeatures:
    """Implements `FeatureSource` for rows that depend on nothing but themselves."""

    def __init__(self, schema: RowSchema) -> None:
        self._encoder = RowEncoder(schema)
        self._width = len(self._encoder.names)

    def vector(self, transaction: Row) -> FloatVector:
        return self._encoder.vector(transaction)

    def reserve(self, transactions: Sequence[Row]) -> Reservation:
        """Features of the rows; nothing is reserved, because no row is visible to another."""
        return Reservation(self._matrix(transactions), (), self.forget)

    def remember(self, transaction: Row) -> None:
        """Does nothing: no later row depends on these."""

    def forget(self, transaction_ids: Sequence[str]) -> None:
        """Does nothing: no row was remembered."""

    def learned(self, labels: Sequence[Label]) -> None:
        """Does nothing: no feature is made of labels."""

    def _matrix(self, transactions: Sequence[Row]) -> FloatMatrix:
        if not transactions:
            return np.empty((0, self._width), dtype=np.float32)
        return self._encoder.matrix(transactions)


Prediction = Callable[[FloatVector, ServedModel], TaskPrediction]


@dataclass(frozen=True, slots=True)
class DeclaredServing:
    """The serving half of a use case, made from a declaration."""

    declared: Declaration
    row_schema: RowSchema
    request_model: type[BaseModel]
    feature_set: FeatureSet
    routes: Sequence[ScoringRoute]
    maker: RowMaker

    @property
    def name(self) -> str:
        return self.row_schema.name

    @property
    def label_words(self) -> LabelWords:
        """The words of the declared label, where it is declared by words."""
        label = self.declared.label
        if self.row_schema.task.kind is not TaskKind.BINARY:
            return LabelWords()
        words = ([word] if word else [] for word in (label.positive, label.negative))
        positive, negative = ([str(word).strip().lower() for word in said] for said in words)
        return LabelWords(positive=tuple(positive), negative=tuple(negative))

    @property
    def schema_version(self) -> int:
        return self.row_schema.version

    @property
    def task(self) -> Task:
        return self.row_schema.task

    @property
    def decisions(self) -> Sequence[str]:
        """The classes; a ranking answers as many words as there are items."""
        if self.task.kind in (TaskKind.BINARY, TaskKind.MULTICLASS):
            return self.task.names
        return (ONE_VALUE,) if self.task.kind is TaskKind.REGRESSION else ()

    @property
    def prediction(self) -> Prediction:
        scalar = self.task.kind in (TaskKind.BINARY, TaskKind.REGRESSION)
        return first_output if scalar else best_output

    def to_transaction(self, request: BaseModel, now_us: int) -> Row:
        return self.maker.row(request, now_us)

    def feature_source(self, engine: Engine, bounds: object = None) -> RowFeatures:  # noqa: ARG002 - no row is read
        return RowFeatures(self.row_schema)

    def warm_up(self) -> None:
        """Does nothing: no code is compiled."""


def serving_of(folder: Path) -> DeclaredServing:
    """The serving half of the declaration in a folder.

    Raises:
        DeclarationError: names every key that is wrong, and the remedy.
    """
    declared = read_declaration(folder / FILE_NAME)
    schema = declared.row_schema
    route = ScoringRoute(
        path="/predict",
        summary=f"Predict one row of {schema.name}",
        response_model=answer_model(schema),
        respond=cast(Responder, Predictor(schema)),
        examples=read_examples(folder, schema),
        batch_path="/predict/batch",
        reasons=reason_rule(schema, declared.serve.reasons),
    )
    return DeclaredServing(
        declared=declared,
        row_schema=schema,
        request_model=request_model(schema),
        feature_set=feature_set_of(schema),
        routes=(route,),
        maker=RowMaker(schema),
    )
