"""The use case's policy file as frozen, checked objects: a typo is an error, not a default."""

from pathlib import Path

from pydantic import Field, PositiveFloat, PositiveInt

from shared.clock import MICROS_PER_DAY
from shared.usecase.policy import PromotionPolicy, StrictTable, read_policy_file

from .recipe import ClassifierChoice

POLICY_FILE = Path(__file__).parent.parent / "policy.toml"


class SplitPolicy(StrictTable):
    """The rows to learn from, and the rows to judge on."""

    label_delay_days: PositiveFloat
    held_out_days: PositiveFloat
    held_out_wanted_positives: PositiveInt
    held_out_max_share: float = Field(gt=0, lt=1)
    train_max_days: PositiveFloat
    min_train_rows: PositiveInt
    min_train_positives: PositiveInt

    @property
    def label_delay_us(self) -> int:
        return round(self.label_delay_days * MICROS_PER_DAY)


class QualityPolicy(StrictTable):
    """The data-quality requirements of a snapshot before training."""

    min_rows: PositiveInt
    min_labelled_rows: PositiveInt
    min_positives: PositiveInt
    max_age_days: PositiveFloat
    max_ahead_seconds: PositiveFloat
    max_amount: PositiveFloat
    max_quarantined_share: float = Field(ge=0, lt=1)
    max_positive_share: float = Field(gt=0, le=1)
    judged_days: PositiveInt
    usual_days: PositiveInt
    max_feature_auc: float = Field(gt=0.5, le=1)
    max_skewed_share: float = Field(gt=0, lt=1)
    accepted: tuple[str, ...]


class ThresholdPolicy(StrictTable):
    """The thresholds between decisions."""

    block_precision: float = Field(gt=0, le=1)
    review_share: float = Field(gt=0, lt=1)
    outlier_share: float = Field(gt=0, lt=1)


class FraudPolicy(StrictTable):
    """The whole file."""

    promotion: PromotionPolicy
    split: SplitPolicy
    quality: QualityPolicy
    thresholds: ThresholdPolicy
    classifier: ClassifierChoice


def read_policy(path: Path = POLICY_FILE) -> FraudPolicy:
    """The policy in a file.

    Raises:
        SettingsError: not readable, not TOML, or a setting is missing, unknown or out of range.
    """
    return read_policy_file(path, FraudPolicy)
