"""The recipe: every number that makes a model what it is; changing one makes a new recipe."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from shared.usecase.policy import StrictTable

COMPONENTS = ("classifier", "isolation_forest", "autoencoder")
THREADS = 2


class RowDraw(StrictTable):
    """The rows that a model is fitted on: positives, and a random sample of negatives.

    Attributes:
        max_positives: where there are more, only the rows since that many are learned from.
        negatives_per_positive: more negatives add little information; those drawn are weighted for
            the rest.
    """

    max_positives: PositiveInt
    negatives_per_positive: PositiveInt
    min_negatives: PositiveInt
    max_negatives: PositiveInt


class ForestRecipe(StrictTable):
    """Extremely randomised trees: random cuts find rare thresholds that bins hide."""

    trees: PositiveInt
    min_samples_leaf: PositiveInt
    max_features: float = Field(gt=0, le=1)
    rows: RowDraw


class BoostingRecipe(StrictTable):
    """Histogram gradient boosting, without early stopping."""

    trees: PositiveInt
    learning_rate: PositiveFloat
    max_leaves: int = Field(ge=2, le=255)
    l2: float = Field(ge=0)
    rows: RowDraw


class ClassifierRecipe(StrictTable):
    """One candidate: boosting, alone or blended with a forest.

    Attributes:
        newest_share: only this share of the training rows, the newest, is learned from.
        forest_share: of the forest in the blend; 0: no forest.
    """

    newest_share: float = Field(gt=0, le=1)
    forest_share: float = Field(ge=0, lt=1)
    forest: ForestRecipe | None = None
    boosting: BoostingRecipe

    @model_validator(mode="after")
    def _forest_where_it_has_a_share(self) -> "ClassifierRecipe":
        if (self.forest is None) != (self.forest_share == 0):
            raise ValueError("needs a forest exactly where forest_share is above 0")
        return self


class WordsRecipe(StrictTable):
    """The words that a classifier knows; all others are one value.

    Attributes:
        min_rows: a word that fewer training rows have is not known.
        max_words: of more, the most frequent are known.
        prior_rows: words are ordered by their rate of positives, drawn to that of all rows as
            if each had this many further rows of the usual rate (additive smoothing).
    """

    min_rows: PositiveInt
    max_words: PositiveInt
    prior_rows: PositiveInt


class ClassifierChoice(StrictTable):
    """The candidates, and how one is chosen: by average precision on rows it has not seen.

    Attributes:
        validation_share: the newest share of the training rows, by which candidates are
            chosen and thresholds set; the model that is shipped has learned from them too.
        max_validation_rows: of more rows than this in that share, the newest.
        parts: number of parts of that size, where the training rows are between `parts_from_rows`
            and `parts_to_rows`; else one: fewer rows cannot tell, more need no second look.
        max_negatives: candidates are compared by models of at most this many negatives.
        baseline: the candidate that is taken unless another one is better by more than
            `margin`: a smaller difference on some thousand rows is luck.
        max_node_visits: a candidate whose trees cost a row more than this many nodes is not taken.
    """

    validation_share: float = Field(gt=0, le=0.3)
    max_validation_rows: PositiveInt = 2_000_000
    parts: int = Field(ge=1, le=3)
    parts_from_rows: PositiveInt
    parts_to_rows: PositiveInt
    max_negatives: PositiveInt
    max_node_visits: PositiveInt
    baseline: str
    margin: float = Field(ge=0, lt=1)
    words: WordsRecipe
    candidates: Mapping[str, ClassifierRecipe] = Field(min_length=1)

    @model_validator(mode="after")
    def _baseline_is_a_candidate(self) -> "ClassifierChoice":
        if self.baseline not in self.candidates:
            raise ValueError(f"names {self.baseline!r} as its baseline, which is not a candidate")
        return self


@dataclass(frozen=True, slots=True)
class IsolationForestRecipe:
    """An isolation forest: rows that are easy to separate are unusual.

    Attributes:
        features: few and informative; with all of them unusual values are lost in noise.
        clip_share: share of each tail that is clipped; otherwise trees split on extremes only.
    """

    features: tuple[str, ...] = (
        "amount",
        "amount_to_avg_30d",
        "sum_7d",
        "avg_7d",
        "km_from_home",
        "kmh_from_prev",
        "merchant_fraud_rate_7d_lag",
        "merchant_fraud_rate_30d_lag",
    )
    trees: int = 40
    max_samples: int = 1_024
    max_rows: int = 200_000
    clip_share: float = 0.0005


@dataclass(frozen=True, slots=True)
class AutoencoderRecipe:
    """An autoencoder: rows that a narrow network cannot rebuild are unusual.

    Attributes:
        steps: few, from the principal components on; many wander off, each seed elsewhere.
        noise: added to the inputs in training, so that the network learns where rows usually
            lie and not to copy them.
        clip_sigmas: standardised inputs end here; one absurd value must not fill the score.
    """

    features: tuple[str, ...] = (
        "amount",
        "amount_to_avg_30d",
        "amount_to_max_30d",
        "sum_7d",
        "avg_7d",
        "km_from_home",
        "kmh_from_prev",
        "merchant_fraud_rate_7d_lag",
        "merchant_fraud_rate_30d_lag",
    )
    hidden: int = 16
    bottleneck: int = 2
    steps: int = 100
    batch_rows: int = 1_024
    learning_rate: float = 0.003
    noise: float = 0.5
    clip_sigmas: float = 10.0


@dataclass(frozen=True, slots=True)
class FraudRecipe:
    """All components; what is said of the classifier stands in the policy file."""

    classifier: ClassifierChoice
    isolation_forest: IsolationForestRecipe = field(default_factory=IsolationForestRecipe)
    autoencoder: AutoencoderRecipe = field(default_factory=AutoencoderRecipe)

    def hyperparameters(self) -> dict[str, Any]:
        return {
            "classifier": self.classifier.model_dump(mode="json"),
            "isolation_forest": asdict(self.isolation_forest),
            "autoencoder": asdict(self.autoencoder),
        }
