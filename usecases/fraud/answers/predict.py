"""POST /predict: the models' decision on one row, by their thresholds, without the rules."""

from pydantic import BaseModel, ConfigDict, Field

from shared.transaction import Transaction
from shared.usecase.serving import Answer, FloatVector, ServedModel

from ..judgement import BLOCK, REVIEW, judge
from .verdict import model_reasons


class PredictionResponse(BaseModel):
    """The models' view of one transaction."""

    model_config = ConfigDict(extra="forbid")

    transaction_id: str = Field(description="Yours, or the one given to this row; for feedback.")
    is_fraud: bool = Field(description="The probability is at or above the block threshold.")
    probability: float = Field(description="The classifier's score, 0 to 1.")
    is_outlier: bool = Field(description="An anomaly score is above its threshold.")
    anomaly_score: float = Field(
        description="Largest anomaly score as a multiple of its threshold; above 1 is an outlier."
    )
    review_required: bool = Field(
        description="Not fraud outright, but above the review threshold or an outlier."
    )
    version: str = Field(description="The model that scored.")
    message: str


def predict(
    transaction: Transaction,
    vector: FloatVector,  # noqa: ARG001 - every responder gets the vector
    scores: FloatVector,
    model: ServedModel,
) -> Answer:
    """Answer with scores and thresholds alone."""
    judgement = judge(scores, model)
    reasons = model_reasons(judgement)
    body = {
        "transaction_id": transaction.transaction_id,
        "is_fraud": judgement.decision is BLOCK,
        "probability": judgement.probability,
        "is_outlier": judgement.is_outlier,
        "anomaly_score": judgement.anomaly_score,
        "review_required": judgement.decision is REVIEW,
        "version": model.version,
        "message": reasons[0]["message"] if reasons else "nothing unusual",
    }
    return Answer(
        body=body,
        score=judgement.probability,
        decision=str(judgement.decision),
        reason_codes=reasons,
    )
