"""The recipe: every number that makes a model what it is; changing one makes a new recipe."""

from dataclasses import asdict, dataclass, field
from typing import Any

COMPONENTS = ("classifier", "isolation_forest", "autoencoder")
THREADS = 2


@dataclass(frozen=True, slots=True)
class ClassifierRecipe:
    """Extremely randomised trees blended with gradient boosting.

    Boosting ranks the bulk well, but its bins hide rare thresholds; trees with random cuts
    find those and do not overfit the few positives. Together they beat either.

    Attributes:
        negatives_per_positive: surplus negatives say little; those drawn count for the rest.
        max_positives: where there are more, only the rows since that many are learned from.
    """

    forest_trees: int = 40
    forest_min_samples_leaf: int = 10
    forest_max_features: float = 0.5
    forest_share: float = 0.6
    boosting_iterations: int = 100
    boosting_learning_rate: float = 0.075
    boosting_max_leaf_nodes: int = 15
    boosting_l2: float = 1.0
    negatives_per_positive: int = 50
    min_negatives: int = 20_000
    max_negatives: int = 40_000
    max_positives: int = 4_000


@dataclass(frozen=True, slots=True)
class IsolationForestRecipe:
    """What is easy to separate from the rest is unusual.

    Attributes:
        features: few and telling; with all 43 the unusual drowns in noise.
        clip_share: so much of each tail is cut, or the trees split on nothing but extremes.
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
    """What a narrow network cannot rebuild is unusual.

    Attributes:
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
    steps: int = 400
    batch_rows: int = 1_024
    learning_rate: float = 0.003
    noise: float = 0.5
    clip_sigmas: float = 10.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """All components.

    Attributes:
        validation_share: the newest share of the training rows, by which thresholds are
            chosen; the model that is shipped has learned from them too.
    """

    classifier: ClassifierRecipe = field(default_factory=ClassifierRecipe)
    isolation_forest: IsolationForestRecipe = field(default_factory=IsolationForestRecipe)
    autoencoder: AutoencoderRecipe = field(default_factory=AutoencoderRecipe)
    validation_share: float = 0.2

    def hyperparameters(self) -> dict[str, Any]:
        return asdict(self)
