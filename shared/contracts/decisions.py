"""One decision with all that it rests on, as GET /decisions/{row_id} answers."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class ThresholdView(BaseModel):
    """One threshold of the version that decided, and the score it is compared with."""

    name: str
    threshold: float
    compared_with: str = Field(description="`score`, or the component of this name")
    value: float | None
    is_reached: bool | None


class LabelView(BaseModel):
    """The ground truth as the use case stores it, and the instant since when it is known."""

    value: Any
    name: str | None = Field(default=None, description="Its class, where the task has classes")
    known_at: str
    source: str | None
    sent_by: str | None
    replaced_at: str | None = Field(default=None, description="null: this label is still valid")


class Contribution(BaseModel):
    """The part of one feature in a raw score; above 0: it raised the score."""

    feature: str
    value: Any = Field(description="The value in the row; of a computed feature its number")
    contribution: float


class ExplainedPart(BaseModel):
    """One tree ensemble: `expected_raw` and all contributions make `raw`, exactly."""

    name: str
    components: list[str]
    scale: str = Field(description="log_odds, logarithm, log2, or value: no transformation")
    expected_raw: float
    raw: float
    adds: float | None = Field(description="Its part of the score; null: all of it")
    contributions: list[Contribution] = Field(description="Those other than 0, largest first")


class Explanation(BaseModel):
    """The share of each score that is explained exactly, and why the rest is not."""

    version: str
    parts: list[ExplainedPart]
    explained_share: dict[str, float] = Field(description="Component -> share of its score, 0 to 1")
    not_explained: dict[str, str] = Field(description="Component, or `version` -> reason")


class RouteAnswer(BaseModel):
    """The answer that one route would give."""

    path: str
    decision: str
    score: float
    matched_rules: list[str]
    reason_codes: list[dict[str, Any]]


class ChampionView(BaseModel):
    """The live version's answer to the stored vector, with the rules of today."""

    version: str
    decided_this_row: bool
    component_scores: dict[str, float] | None
    thresholds: list[ThresholdView]
    answers: list[RouteAnswer]
    unavailable: str | None = Field(description="Why it cannot score this vector")


class DecisionView(BaseModel):
    """One decision. Instants are RFC 3339 in UTC."""

    model_config = ConfigDict(protected_namespaces=())

    row_id: str
    use_case: str
    is_quarantined: bool = Field(description="Sent by an untrusted caller; never used for training")
    is_stored: bool = Field(description="false: in the journal, not in the database yet")
    decided_at: str
    sent_by: str | None
    row: dict[str, Any] = Field(description="The row with its defaults, by column")
    decision: str | None
    score: float | None
    component_scores: dict[str, float] | None
    thresholds: list[ThresholdView] = Field(description="Empty: the version was removed")
    matched_rules: list[str]
    reason_codes: list[dict[str, Any]] = Field(description="With the values the rules saw")
    model_version: str
    feature_set_version: str | None
    latency_ms: float | None
    features: dict[str, float | None] = Field(description="The feature vector as it was scored")
    label: LabelView | None
    earlier_labels: list[LabelView]
    explanation: Explanation
    champion: ChampionView | None = Field(description="null: no model is served")
