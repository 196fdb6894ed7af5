"""A use case small enough to check by hand: two features, two components, one rule."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, cast
from uuid import uuid4

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Engine, func, select

from shared.clock import to_micros
from shared.errors import DataUnavailable
from shared.tables.engine import database_errors
from shared.tables.schema import api_transaction_logs as logs
from shared.tasks.labels import LabelWords
from shared.transaction import Label, Transaction
from shared.usecase.serving import (
    Answer,
    FeatureSet,
    FeatureSource,
    FloatVector,
    Reservation,
    ScoringRoute,
    ServedModel,
    TaskPrediction,
)

FEATURES = FeatureSet("tiny-1", ("amount", "seen_before"), {"amount": "a", "seen_before": "b"})
COMPONENTS = ("classifier", "outlier")


class TinyRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    amount: Annotated[float, Field(strict=True, ge=0)]
    transaction_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    user_id: str = "nobody"
    event_time: AwareDatetime | None = None


class TinyAnswer(BaseModel):
    transaction_id: str
    probability: float
    seen_before: int
    version: str


class OtherAnswer(BaseModel):
    transaction_id: str
    decision: str


def to_transaction(request: TinyRequest, now_us: int) -> Transaction:
    moment = now_us if request.event_time is None else to_micros(request.event_time)
    if moment > now_us + 86_400_000_000:
        raise ValueError("event_time: more than one day after now")
    return Transaction(
        transaction_id=request.transaction_id or uuid4().hex,
        user_id=request.user_id,
        event_time_us=moment,
        ingested_at_us=now_us,
        amount=request.amount,
        currency="EUR",
        merchant_id="m",
        transaction_type="purchase",
    )


def predict(
    transaction: Transaction, vector: FloatVector, scores: FloatVector, model: ServedModel
) -> Answer:
    body = {
        "transaction_id": transaction.transaction_id,
        "probability": float(scores[0]),
        "seen_before": int(vector[1]),
        "version": model.version,
    }
    return Answer(body, float(scores[0]), decision(scores, model))


def decide(
    transaction: Transaction, vector: FloatVector, scores: FloatVector, model: ServedModel
) -> Answer:
    outcome = decision(scores, model)
    body = {"transaction_id": transaction.transaction_id, "decision": outcome}
    return Answer(body, float(scores[0]), outcome, ["big"], [{"code": "big", "value": 1.0}])


def decision(scores: FloatVector, model: ServedModel) -> str:
    return "review" if scores[0] >= model.thresholds["review"] else "approve"


def prediction(scores: FloatVector, model: ServedModel) -> TaskPrediction:
    return TaskPrediction(float(scores[0]), decision(scores, model) != "approve")


class TinySource:
    """Counts the user's rows in the database and in memory; knows no windows."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.remembered: dict[str, Transaction] = {}
        self.learned_ids: list[str] = []

    def vector(self, transaction: Transaction) -> FloatVector:
        # Remembered first: a row that is stored meanwhile is then seen twice, never missed.
        remembered = list(self.remembered.values())
        seen = {row.transaction_id for row in remembered if row.user_id == transaction.user_id}
        seen |= self._stored(transaction.user_id)
        return np.array([transaction.amount, len(seen)], dtype=np.float32)

    def reserve(self, transactions: Sequence[Transaction]) -> Reservation:
        matrix = np.empty((len(transactions), len(FEATURES.names)), dtype=np.float32)
        try:
            for row, transaction in zip(matrix, transactions, strict=True):
                row[:] = self.vector(transaction)
                self.remember(transaction)
        except BaseException:
            self.forget([row.transaction_id for row in transactions])
            raise
        return Reservation(matrix, transactions, self.forget)

    def remember(self, transaction: Transaction) -> None:
        self.remembered[transaction.transaction_id] = transaction

    def forget(self, transaction_ids: Sequence[str]) -> None:
        for transaction_id in transaction_ids:
            self.remembered.pop(transaction_id, None)

    def learned(self, labels: Sequence[Label]) -> None:
        self.learned_ids += [label.transaction_id for label in labels]

    def _stored(self, user_id: str) -> set[str]:
        query = select(logs.c.transaction_id).where(logs.c.user_id == user_id)
        try:
            with database_errors("read history"), self._engine.connect() as connection:
                return set(connection.scalars(query))
        except DataUnavailable:
            return set()


LABEL_WORDS = LabelWords(positive=("churned",), negative=("stayed",))


@dataclass(frozen=True, slots=True)
class TinyUseCase:
    routes: Sequence[ScoringRoute] = (
        ScoringRoute("/score", "Score a row", TinyAnswer, predict,
                     {"smallest": {"amount": 1.5},
                      "named": {"amount": 2.5, "user_id": "u1", "transaction_id": "t-example"}},
                     "/score/batch"),
        ScoringRoute("/decide", "Decide on a row", OtherAnswer, decide, {"one": {"amount": 3.0}}),
    )  # fmt: skip
    name: str = "tiny"
    schema_version: int = 1
    request_model: type[BaseModel] = TinyRequest
    feature_set: FeatureSet = FEATURES
    label_words: LabelWords = LABEL_WORDS
    decisions: Sequence[str] = ("approve", "review")
    prediction: Callable[[FloatVector, ServedModel], TaskPrediction] = prediction

    def to_transaction(self, request: BaseModel, now_us: int) -> Transaction:
        return to_transaction(cast(TinyRequest, request), now_us)

    def warm_up(self) -> None: ...

    def feature_source(self, engine: Engine, bounds: object = None) -> FeatureSource:
        return TinySource(engine)


def stored_rows(engine: Engine) -> list[Mapping[str, Any]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(logs)).mappings()]


def count_rows(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(logs)) or 0
