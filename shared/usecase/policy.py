"""A use case's policy file, and the promotion policy that it declares.

The file is TOML validated by a model when it is read, never later; every fault is reported with its
remedy.
"""

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
)
from pydantic.dataclasses import dataclass

from shared.errors import SettingsError
from shared.tasks.metrics import Margin, checked_metric

_REMEDIES: Mapping[str, str] = {
    "missing": "is missing: declare it",
    "extra_forbidden": "is not a setting: remove it, or correct its name",
    "unexpected_keyword_argument": "is not a setting: remove it, or correct its name",
}


class StrictTable(BaseModel):
    """One table of the file: nothing unknown, nothing missing, nothing changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Policy = TypeVar("Policy", bound=StrictTable)


def read_policy_file(path: Path, model: type[Policy]) -> Policy:
    """The file as `model`.

    Raises:
        SettingsError: not readable, not TOML, or a setting is missing, unknown or out of
            range; names every such setting and what to do about it.
    """
    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return model.model_validate(tables)
    except ValidationError as error:
        faults = "; ".join(_fault(item) for item in error.errors(include_url=False))
        raise SettingsError(f"{path.name}: {faults}") from error
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path.name}: {error}") from error


def _fault(item: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in item["loc"] if part != "[key]")
    remedy = _REMEDIES.get(item["type"])
    if remedy is not None:
        return f"{where} {remedy}"
    wanted = str(item["msg"]).removeprefix("Input ")
    return f"{where} = {item['input']!r} {wanted}: change it"


Metric = Annotated[str, AfterValidator(checked_metric)]
Figure = Literal["alert_precision", "alert_recall", "alert_volume", "alert_money"]
Count = Annotated[int, Field(strict=True, ge=1)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Share = Annotated[Number, Field(gt=0, le=0.5)]
Tolerance = Annotated[Number, Field(ge=0)]


def _loss(declared: Any) -> Any:
    return Margin.parse(declared).declared


Loss = Annotated[float | str, BeforeValidator(_loss)]
"""The tolerated loss of a metric: an amount, or a share of the champion's value ("2 %")."""


class PromotionKind(StrEnum):
    """The kind of evidence a candidate needs.

    Superiority: the gain's lower bound is above 0. Non-inferiority: it is above minus the
    margin, and the champion is old or the data has drifted.
    """

    SUPERIORITY = "superiority"
    NON_INFERIORITY = "non_inferiority"


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class PromotionPolicy:
    """The policy that a candidate must meet.

    Attributes:
        new_recipe: the evidence needed for other features, algorithms or hyperparameters.
        refresh: the evidence needed for the same recipe on newer rows.
        margin: a refresh may lose at most this much of the primary metric; 0.01, or "2 %" of
            what the champion has.
        yearly_alpha: chance per year to promote an equal candidate as better, or one worse
            by the margin as no worse.
        rounds_per_year: how many comparisons a year are planned.
        min_positives: fewer matured positives are INCONCLUSIVE, on every path; of other tasks,
            fewer rows of the smallest class, rows (regression) or entities (ranking).
        first_model_min: metric -> floor for the lower bound of a candidate without a comparison:
            the first model, and one whose champion cannot be scored.
        guard_metrics: further metrics -> how much of each may be lost before it is harm.
        operating_guards: figures at the served thresholds -> how much of each may be lost before
            it is harm. Precision and recall of the alerts: shares, 0.02 is two points. Volume
            and money: a share of the champion's own alerts a day (more is harm) and money a day
            (amounts of the positives alerted on, less `cost_per_alert` an alert).
        slice_tolerance: how much of the primary metric a slice may lose before it is harm.
        guard_alpha: common error (Holm) of calling harm where there is none.
        daily_alerts: how many rows a day people can review.
        cost_per_alert: the cost of one review, in the unit of the amounts.
        first_model_beats_constant: where no floor is declared, a candidate without a comparison has
            to beat the best constant answer by its lower bound.
        allow_unscorable_champion: whether a champion that cannot be scored here may be
            replaced by a candidate that reaches the floors; recorded in the decision.
    """

    name: Annotated[str, Field(min_length=1)]
    primary_metric: Metric
    margin: Loss
    yearly_alpha: Share
    rounds_per_year: Count
    min_positives: Count
    champion_max_age_days: Annotated[Number, Field(gt=0)]
    first_model_min: Mapping[Metric, Number]
    new_recipe: PromotionKind = PromotionKind.SUPERIORITY
    refresh: PromotionKind = PromotionKind.NON_INFERIORITY
    guard_metrics: Mapping[Metric, Loss] = Field(default_factory=dict)
    operating_guards: Mapping[Figure, Tolerance] = Field(default_factory=dict)
    slice_tolerance: Loss = 0.01
    guard_alpha: Share = 0.05
    resamples: Annotated[Count, Field(ge=100)] = 2_000
    daily_alerts: Count = 100
    cost_per_alert: Tolerance = 0.0
    allow_unscorable_champion: StrictBool = False
    first_model_beats_constant: StrictBool = False

    def kind(self, *, new_recipe: bool) -> PromotionKind:
        """The evidence this candidate needs."""
        return self.new_recipe if new_recipe else self.refresh
