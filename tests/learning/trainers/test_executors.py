"""A candidate has the same bytes, whichever executor fits what it is chosen from."""

import pytest

from learning.trainers.train import train
from shared.errors import TrainingFailed
from shared.execution.executor import TaskLimits, executing
from shared.execution.processes import LocalProcesses
from tests.support.executor_checks import Stopped, silent, training


def test_a_candidate_fitted_in_processes_is_the_same_to_the_bit() -> None:
    in_turn = train(training(), silent)
    with executing(LocalProcesses(2, TaskLimits())):
        in_processes = train(training(), silent)
    assert in_processes.files == in_turn.files
    assert in_processes.hyperparameters == in_turn.hyperparameters
    assert in_processes.thresholds == in_turn.thresholds


def test_a_task_without_enough_memory_fails_the_training_and_names_the_recipe() -> None:
    with (
        executing(LocalProcesses(1, TaskLimits(memory_bytes=1))),
        pytest.raises(TrainingFailed, match=r"gradient_boosting.*"),
    ):
        train(training(), silent)


def test_a_request_to_stop_is_heard_while_candidates_are_fitted_elsewhere() -> None:
    def stop(what: str, _share: float) -> None:
        if what == "candidates":
            raise Stopped

    with executing(LocalProcesses(2, TaskLimits())), pytest.raises(Stopped):
        train(training(), stop)
