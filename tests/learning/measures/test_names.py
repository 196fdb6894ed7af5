"""Every metric that may be declared exists, for the task it is declared for."""

import pytest

from learning.measures import known_measures, measure_named
from shared.tasks import TaskKind
from shared.tasks.metrics import METRICS, is_metric_of


@pytest.mark.parametrize("kind", list(TaskKind))
def test_what_may_be_declared_can_be_measured(kind: TaskKind) -> None:
    for name in METRICS[kind]:
        assert kind in measure_named(name).tasks


def test_what_can_be_measured_may_be_declared() -> None:
    for name in known_measures():
        assert any(is_metric_of(kind, name) for kind in measure_named(name).tasks)
