"""The freshness check: a run with a fresh champion ends before anything is read or trained.

A refresh of a fresh champion has no prospect: the policy leaves a champion alone that is young
while the data has not drifted. A new recipe has, so what made the champion is compared, too.
"""

from dataclasses import dataclass

from sqlalchemy import select

from scheduler.cycle.champion import Champion
from scheduler.cycle.run import CycleRun
from scheduler.run_history import has_drifted
from scheduler.schedule.jobs import RETRAINING
from shared.clock import MICROS_PER_DAY, to_micros
from shared.tables.config import enabled_features
from shared.tables.engine import database_errors
from shared.tables.runs import RunStatus
from shared.tables.schema import model_training_runs as table
from shared.usecase.policy import PromotionKind

CHAMPION_FRESH = "champion_fresh"
RECIPE = "recipe"
"""The member of the step `package` with the digest of what made a candidate."""
_SHOWN_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Freshness:
    """The champion's age, and what would make it due."""

    version: str
    age_days: float
    due_days: float

    def __str__(self) -> str:
        return (
            f"champion {self.version} is {self.age_days:.1f} days old and due after "
            f"{self.due_days:g}, no drift is known, and the recipe is the same"
        )


def champion_freshness(run: CycleRun, champion: Champion | None) -> Freshness | None:
    """None where the run has something to do: no champion, an old one, drift, another recipe.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    manifest = champion.manifest if champion is not None else None
    policy = run.context.use_case.policy
    forced = run.claim is not None and run.claim.forced_by is not None
    if manifest is None or forced or policy.refresh is not PromotionKind.NON_INFERIORITY:
        return None
    made_us = to_micros(manifest.created_at)
    age_days = (run.as_of_us - made_us) / MICROS_PER_DAY
    if age_days > policy.champion_max_age_days or not _is_same_recipe(run, champion):
        return None
    if has_drifted(run.context.engine, made_us, run.as_of_us):
        return None
    return Freshness(manifest.version, age_days, policy.champion_max_age_days)


def recipe_digest(run: CycleRun) -> str:
    """The digest that the step `package` keeps, and that is compared with later."""
    return run.context.recipe[:_SHOWN_CHARACTERS]


def _is_same_recipe(run: CycleRun, champion: Champion | None) -> bool:
    """Unknown is not the same: a bundle pushed by hand is compared with what is made here."""
    manifest = None if champion is None else champion.manifest
    feature_set = run.context.use_case.feature_set
    if manifest is None or manifest.feature_set_version != feature_set.version:
        return False
    enabled = enabled_features(run.context.engine, feature_set)
    if tuple(manifest.feature_names) != tuple(enabled):
        return False
    return _recipe_of(run, manifest.version) == recipe_digest(run)


def _recipe_of(run: CycleRun, version: str) -> str | None:
    """The recipe of a version, as recorded by the run that promoted it."""
    query = (
        select(table.c.steps)
        .where(
            table.c.jobname == RETRAINING,
            table.c.modelversion == version,
            table.c.status == RunStatus.SUCCEEDED.value,
        )
        .order_by(table.c.runid.desc())
        .limit(1)
    )
    with database_errors("read what made the champion"), run.context.engine.connect() as connection:
        steps = connection.scalar(query)
    found = (
        step for step in steps or () if isinstance(step, dict) and step.get("step") == "package"
    )
    return next((step.get(RECIPE) for step in found), None)
