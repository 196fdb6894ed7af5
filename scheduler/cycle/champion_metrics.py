"""Metrics of the champion: could it be scored, and may it be replaced if not."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine, select
from structlog.typing import FilteringBoundLogger

from scheduler.schedule.jobs import RETRAINING
from shared.errors import DataUnavailable
from shared.tables.engine import database_errors
from shared.tables.schema import model_training_runs as table
from shared.usecase.promotion import PromotionPolicy


class ChampionMetrics(Collector):
    """Metrics of the promotion policy's limits and of the newest retraining's results."""

    def __init__(self, engine: Engine, policy: PromotionPolicy | None) -> None:
        self._engine = engine
        self._policy = policy

    def collect(self) -> Iterable[Metric]:
        allowed = GaugeMetricFamily(
            "understudy_unscorable_champion_allowed",
            "1 while the policy lets a champion that cannot be scored be replaced by floors alone",
        )
        unscorable = GaugeMetricFamily(
            "understudy_champion_unscorable",
            "1 while the newest retraining could not score the champion",
        )
        if self._policy is not None:
            allowed.add_metric([], self._policy.allow_unscorable_champion)
        try:
            unscorable.add_metric([], _is_unscorable(self._engine))
        except DataUnavailable:
            return [allowed]
        return [allowed, unscorable]


def warn_of_policy(policy: PromotionPolicy | None, log: FilteringBoundLogger) -> None:
    """Log a warning at every start while the policy allows it."""
    if policy is not None and policy.allow_unscorable_champion:
        log.warning(
            "unscorable_champion_allowed",
            policy=policy.name,
            remedy="set allow_unscorable_champion = false in the use case's policy.toml",
        )


def _is_unscorable(engine: Engine) -> bool:
    query = (
        select(table.c.decision)
        .where(table.c.jobname == RETRAINING, table.c.decision.is_not(None))
        .order_by(table.c.runid.desc())
        .limit(1)
    )
    with database_errors("read the newest decision"), engine.connect() as connection:
        decision = connection.scalar(query)
    if not isinstance(decision, dict):
        return False
    inputs = decision.get("inputs", {})
    return inputs.get("champion_version") is not None and not inputs.get("champion_scored", True)
