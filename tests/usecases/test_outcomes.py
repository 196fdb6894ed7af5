"""A/B on matured outcomes, of every use case that ships: what the driver sees of the arms."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

import usecases
from api.journal.entries import Decided, RecordFormat
from scheduler.rollout.look import Outcomes
from scheduler.rollout.outcomes import ServedOutcomes
from scheduler.rollout.stage import RolloutPolicy, StageAction, judge_stage
from shared.clock import MICROS_PER_HOUR, isoformat
from shared.contracts.rollouts import (
    ArmStatistics,
    Mode,
    RolloutArms,
    RolloutView,
    RolloutWorkers,
)
from shared.tables.engine import connect
from shared.tasks import Task, TaskKind
from shared.transaction import Label
from shared.usecase.serving import ServedModel
from tests.scheduler.rollout.arms import look
from tests.support.declared_bench import NOW_US
from tests.support.shipped_use_cases import shipped_names

ROWS = 240
CHAMPION, CANDIDATE = "1.0.0", "1.0.1"
NOTHING = ArmStatistics(
    users=0, requests=0, errors=0, alerts=0, groups=0, alert_rate=None, latency_ms=None,
    latency_p99_ms=None, scores=[],
)  # fmt: skip


def shown(mode: Mode = Mode.CANARY) -> RolloutView:
    since = isoformat(NOW_US - MICROS_PER_HOUR)
    return RolloutView(
        mode=mode, version=CANDIDATE, champion=CHAMPION, share_percent=50, shares=[50],
        next_share=None, began_at=since, stage_since=since, stage_seconds=3_600.0, begun_by="push",
        arms=RolloutArms(champion=NOTHING, candidate=NOTHING), shadow=None,
        workers=RolloutWorkers(following=1, total=1, troubles={}),
    )  # fmt: skip


def truth_of(task: Task, rng: np.random.Generator) -> Any:
    if task.kind is TaskKind.REGRESSION:
        return float(rng.normal(50.0, 10.0))
    if task.kind is TaskKind.RANKING:
        return tuple(rng.normal(3.0, 1.0, task.width).astype(np.float32).tolist())
    return float(rng.integers(task.width if task.kind is TaskKind.MULTICLASS else 2))


def outputs_of(task: Task, truth: Any, noise: float, rng: np.random.Generator) -> Any:
    """Outputs of a model that is wrong by so much noise."""
    if task.kind is TaskKind.BINARY:
        odds = (4.0 * truth - 2.0) + noise * rng.normal()
        return np.array([1 / (1 + np.exp(-odds))], dtype=np.float32)
    if task.kind is TaskKind.REGRESSION:
        return np.array([truth + 5.0 * noise * rng.normal()], dtype=np.float32)
    if task.kind is TaskKind.RANKING:
        return (np.array(truth) + noise * rng.normal(size=task.width)).astype(np.float32)
    hidden = 3.0 * np.eye(task.width)[int(truth)] + noise * rng.normal(size=task.width)
    return (np.exp(hidden) / np.exp(hidden).sum()).astype(np.float32)


def serve(engine: Engine, name: str, version: str, noise: float, seed: int) -> None:
    """Rows of one arm in the table, with their truth, as the journal and /feedback leave them."""
    serving, task = usecases.load_serving(name), usecases.load_learning(name).task
    records, rng = RecordFormat(usecases.row_store(name)), np.random.default_rng(seed)
    route = serving.routes[0]
    body = next(iter(route.examples.values()))
    fields, model = records.rows.fields, ServedModel(version, task.outputs, {})
    vector = np.zeros(len(serving.feature_set.names), dtype=np.float32)
    found, labels = [], []
    for at in range(ROWS):
        named = {fields.row_id: f"{version}-{at}"}
        if fields.entity:
            named[fields.entity] = f"{version}-e{at // 3}"
        request = serving.request_model.model_validate_json(json.dumps({**body, **named}))
        row = serving.to_transaction(request, NOW_US - 60_000_000)
        truth = truth_of(task, rng)
        scores = outputs_of(task, truth, noise, rng)
        answer: Any = route.respond(row, vector, scores, model)
        decided = Decided(row, vector, scores, model)
        payload = records.encode_decision(decided, answer, serving.feature_set.version, 1.0)
        found.append(records.decode_row(payload))
        labels.append(Label(f"{version}-{at}", truth, NOW_US, "feedback"))
    with engine.begin() as connection:
        records.rows.write_decisions(connection, records.columns, found)  # type: ignore[arg-type]
        records.rows.store_labels(connection, labels)


@pytest.fixture(params=shipped_names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def outcomes_of(name: str, folder: Path, candidate_noise: float) -> Outcomes | None:
    engine = connect(f"sqlite:///{folder}/{candidate_noise}.db")
    usecases.row_store(name).prepare(engine)
    serve(engine, name, CHAMPION, 1.0, seed=1)
    serve(engine, name, CANDIDATE, candidate_noise, seed=2)
    source = ServedOutcomes(engine, lambda: usecases.outcome_rows(name))
    try:
        assert source.read(shown(Mode.SHADOW), NOW_US) is None
        return source.read(shown(), NOW_US)
    finally:
        engine.dispose()


def test_a_candidate_whose_answers_turn_out_worse_is_rolled_back(name: str, tmp_path: Path) -> None:
    found = outcomes_of(name, tmp_path, 4.0)
    assert found is not None
    assert found.candidate.rows == found.champion.rows == ROWS
    decision = judge_stage(look(outcomes=found), RolloutPolicy())
    assert (decision.step, decision.code) == (StageAction.ROLL_BACK, "worse_outcomes")
    assert found.metric in decision.reason


def test_a_candidate_whose_answers_turn_out_as_good_is_not(name: str, tmp_path: Path) -> None:
    found = outcomes_of(name, tmp_path, 1.0)
    assert found is not None
    entities = ROWS // 3 if usecases.outcome_rows(name).entity else ROWS
    assert found.champion.groups == entities
    assert judge_stage(look(outcomes=found), RolloutPolicy()).step is StageAction.PROMOTE
