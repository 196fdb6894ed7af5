"""The declared variables a rule may use: name, CEL type, meaning, and how a row yields it.

No variable is ever null: an optional field that was not sent has the default stated in its
meaning, so a rule needs no null checks and the type checker can be strict.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from shared.clock import MICROS_PER_HOUR
from shared.transaction import Transaction
from shared.usecase.serving import FeatureSet

from ..judgement import Judgement
from ..requests import ANONYMOUS_PREFIX

CelType = Literal["bool", "int", "double", "string"]
Value = bool | int | float | str

MICROS_PER_MINUTE = MICROS_PER_HOUR // 60


class RuleEvidence(NamedTuple):
    """Everything known of one scored row; `features` in the order of the feature set."""

    transaction: Transaction
    features: list[float]
    judgement: Judgement
    model_version: str


@dataclass(frozen=True, slots=True)
class Variable:
    """One name a rule may use."""

    name: str
    type: CelType
    meaning: str
    read: Callable[[RuleEvidence], Value]


def readable(value: Value) -> Value:
    """A float32 feature comes as 0.30000001192; people want 0.3."""
    return round(value, 6) if type(value) is float else value


def variable_table(feature_set: FeatureSet) -> Mapping[str, Variable]:
    """All variables by name; where a field and a feature share a name, the field is meant."""
    declared = {v.name: v for v in (*_field_variables(), *_score_variables())}
    features = (
        _feature(name, at, feature_set)
        for at, name in enumerate(feature_set.names)
        # rules read the word itself instead of its code
        if name not in feature_set.categories
    )
    return declared | {v.name: v for v in features if v.name not in declared}


def _feature(name: str, at: int, feature_set: FeatureSet) -> Variable:
    meaning = f"feature, group {feature_set.groups[name]}"
    if name.startswith("is_"):
        return Variable(name, "bool", meaning, lambda e: e.features[at] != 0.0)
    if name.startswith("distinct_") or ("cnt" in name.split("_") and "_vs_" not in name):
        return Variable(name, "int", meaning, lambda e: int(e.features[at]))
    return Variable(name, "double", meaning, lambda e: e.features[at])


def _field_variables() -> tuple[Variable, ...]:
    return (
        Variable("amount", "double", "major units of currency", lambda e: e.transaction.amount),
        _text("currency", "ISO 4217 code"),
        _text("transaction_id", "the transaction"),
        _text("user_id", "whose history the features describe"),
        _text("merchant_id", "the counterparty"),
        _text("transaction_type", "purchase, transfer, withdrawal, ..."),
        _text("merchant_category", 'default ""'),
        _text("channel", 'online, pos, atm, ...; default ""'),
        _text("country", 'country or region of the event; default ""'),
        _text("device_id", 'default ""'),
        *(_coordinate(name) for name in ("lat", "lon", "home_lat", "home_lon")),
        Variable(
            "has_place", "bool", "lat and lon were sent", lambda e: e.transaction.lat is not None
        ),
        Variable(
            "has_home",
            "bool",
            "home_lat and home_lon were sent",
            lambda e: e.transaction.home_lat is not None,
        ),
        Variable(
            "is_anonymous_user",
            "bool",
            "user_id was not sent, so there is no history",
            lambda e: e.transaction.user_id.startswith(ANONYMOUS_PREFIX),
        ),
        Variable("hour", "int", "0-23, local where utc_offset_min was sent, else UTC", _hour),
        Variable("day_of_week", "int", "0 is Monday; local like hour", _day_of_week),
    )


def _score_variables() -> tuple[Variable, ...]:
    return (
        Variable(
            "probability", "double", "the classifier's score", lambda e: e.judgement.probability
        ),
        Variable(
            "anomaly_score",
            "double",
            "largest anomaly score / its threshold; above 1 is an outlier",
            lambda e: e.judgement.anomaly_score,
        ),
        Variable(
            "is_outlier",
            "bool",
            "an anomaly score is above its threshold",
            lambda e: e.judgement.is_outlier,
        ),
        *(_component(name) for name in ("isolation_forest", "autoencoder")),
        *(_threshold(n) for n in ("review", "block", "isolation_forest", "autoencoder")),
        Variable("model_version", "string", "of the model that scored", lambda e: e.model_version),
    )


def _text(name: str, meaning: str) -> Variable:
    return Variable(name, "string", meaning, lambda e: getattr(e.transaction, name) or "")


def _coordinate(name: str) -> Variable:
    def read(evidence: RuleEvidence) -> float:
        value: float | None = getattr(evidence.transaction, name)
        return 0.0 if value is None else value

    return Variable(name, "double", "degrees; default 0.0, see has_place and has_home", read)


def _component(name: str) -> Variable:
    meaning = "anomaly score, higher is more unusual; 0.0 if the model has no such component"
    return Variable(name, "double", meaning, lambda e: e.judgement.scores[name])


def _threshold(name: str) -> Variable:
    meaning = "the live model's threshold"
    return Variable(f"threshold_{name}", "double", meaning, lambda e: e.judgement.thresholds[name])


def _local_hours(transaction: Transaction) -> int:
    offset_us = (transaction.utc_offset_min or 0) * MICROS_PER_MINUTE
    return (transaction.event_time_us + offset_us) // MICROS_PER_HOUR


def _hour(evidence: RuleEvidence) -> int:
    return _local_hours(evidence.transaction) % 24


def _day_of_week(evidence: RuleEvidence) -> int:
    # 1970-01-01 was a Thursday
    return (_local_hours(evidence.transaction) // 24 + 3) % 7
