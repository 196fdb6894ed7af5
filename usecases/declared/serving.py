"""The serving half of a declared use case: request model, vector and answers from its file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic import BaseModel
from sqlalchemy import Engine

from shared.label_words import LabelWords
from shared.rows.declaration import FILE_NAME, Declaration, read_declaration
from shared.rows.encoder import feature_set_of
from shared.rows.examples import read_examples
from shared.rows.schema import Row, RowSchema
from shared.tasks import Task, TaskKind
from shared.usecase.serving import (
    FeatureSet,
    FloatVector,
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
from usecases.declared.features import RowFeatures
from usecases.declared.reasons import reason_rule
from usecases.declared.request import RowMaker, request_model

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
