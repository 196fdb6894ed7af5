"""What docs/tasks.md says of each task, held over every declared use case that ships.

One cycle each, on generated rows: a first model is promoted, rows are served by it, drift is looked
for, the page is written, the run is tracked, and its predictions are counted as in a canary.
"""

import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sqlalchemy import Engine

import usecases
from api.journal.entries import Decided, RecordFormat
from api.models.verify import score_edges_of
from api.rollout.arm_counts import SCORE_EDGES
from scheduler.cycle.baseline import SCORE
from scheduler.drift.baseline import ChampionBaseline, decode
from scheduler.drift.finding import DriftFinding, look
from scheduler.drift.live import DriftWindow
from scheduler.drift.page import render as render_drift
from scheduler.replay.history import connect_read_only
from scheduler.replay.plan import plan_spans
from scheduler.replay.record import Asked
from scheduler.replay.replay import replay
from scheduler.replay.summary import verdict
from shared.bundle.archive import Bundle, unpack
from shared.clock import MICROS_PER_DAY, to_datetime
from shared.intervals import Interval
from shared.rows.schema import Row
from shared.scoring.session import load_model
from shared.tables.engine import connect, migrate
from shared.tables.runs import Run, RunStatus
from shared.tasks import TaskKind
from shared.usecase.learning import BASELINES
from shared.usecase.rows import LABEL
from shared.usecase.serving import ServedModel
from tests.scheduler.fakes import SettableClock
from tests.support.declared_bench import NOW_US
from tests.support.declared_cycle import DeclaredBench, bench_of
from tests.support.replay_bench import Notebook
from tests.support.shipped_use_cases import ROOT, shipped_names
from usecases.declared.learning import DeclaredLearning, learning_of

DECLARED = [name for name in shipped_names() if usecases.declared_folder(name)]
PAGE = Path(__file__).parent.parent.parent / "docs" / "tasks.md"
FOREIGN = re.compile(r"fraud|transaction|merchant|\bblocks?\b|\bcards?\b(?!\.md)", re.IGNORECASE)
SERVED = 900

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class World:
    """A use case whose first model was promoted, and what it left behind."""

    name: str
    learning: DeclaredLearning
    engine: Engine
    run: Run
    bundle: Bundle
    report: str


@pytest.fixture(scope="module", params=DECLARED)
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    name, folder = str(request.param), tmp_path_factory.mktemp(str(request.param))
    generated = importlib.import_module(f"usecases.{name}.generate").GENERATED
    source = folder / "source"
    source.mkdir()
    generated.make(6_000, 5, to_datetime(NOW_US)).write_csv(source / generated.file.name)
    clock = SettableClock()
    clock.move(NOW_US - clock.now_us())
    declared = learning_of(ROOT / name)
    learning = DeclaredLearning(declared.declared, source, clock)
    engine = connect(f"sqlite:///{folder}/understudy.db")
    migrate(engine)
    bench: DeclaredBench = bench_of(learning, engine, clock, folder)
    run = bench.run()
    kept = folder / "retrained_models" / "1.0.0"
    raw, page = (kept / "bundle.zip").read_bytes(), (kept / "report.html").read_text()
    yield World(name, learning, engine, run, unpack(raw), page)
    engine.dispose()


def serve(world: World) -> None:
    """The newest labelled rows as the API would have served them yesterday and before."""
    serving: Any = usecases.load_serving(world.name)
    records = RecordFormat(usecases.row_store(world.name))
    manifest, model = world.bundle.manifest, load_model(world.bundle, allow_pickle=False)
    served = ServedModel(manifest.version, manifest.components, manifest.thresholds)
    snapshot = world.learning.snapshot(world.engine, NOW_US)
    snapshot = snapshot.filter(pl.col(LABEL).is_not_null()).tail(SERVED)
    matrix = world.learning.features(snapshot)
    scores = model.score(matrix)
    found = []
    for at, stored in enumerate(snapshot.iter_rows(named=True)):
        values = tuple(stored[name] for name in world.learning.row_schema.names)
        row = Row(stored["row_id"], stored["entity"], stored["event_time"], NOW_US, values)
        answer: Any = serving.routes[0].respond(row, matrix[at], scores[at], served)
        decided = Decided(row, matrix[at], scores[at], served)
        payload = records.encode_decision(decided, answer, serving.feature_set.version, 1.0)
        found.append(records.decode_row(payload))
    with world.engine.begin() as connection:
        records.rows.write_decisions(connection, records.columns, found)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def finding(world: World) -> DriftFinding:
    serve(world)
    baseline = decode(world.bundle.files["baseline.json"])
    champion = ChampionBaseline(world.bundle.manifest, baseline)
    delay_us = baseline.label_delay_us
    window = DriftWindow(NOW_US - delay_us - 120 * MICROS_PER_DAY, NOW_US, NOW_US)
    return look(world.engine, world.learning, champion, window)


def test_the_first_model_is_promoted_with_intervals_of_its_metrics(world: World) -> None:
    assert world.run.status is RunStatus.SUCCEEDED, world.run.message
    manifest = world.bundle.manifest
    metric = world.learning.policy.primary_metric
    low, high = manifest.metric_intervals[metric]
    value = manifest.metrics[metric]
    assert value is not None
    assert low <= value <= high
    assert all(one is not None and np.isfinite(one) for one in manifest.metrics.values())


def test_a_ranking_keeps_its_baselines_and_no_other_task_has_any(world: World) -> None:
    kept = {path for path in world.bundle.files if path.startswith(BASELINES)}
    is_ranking = world.learning.task.kind is TaskKind.RANKING
    assert len(kept) == (2 if is_ranking else 0)


def test_the_report_has_figures_and_no_word_of_another_use_case(world: World) -> None:
    assert world.report.count("<svg") >= 2
    text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", world.report, flags=re.DOTALL)
    assert FOREIGN.findall(text.replace("Candidate report", "")) == []


def test_drift_is_looked_for_in_inputs_predictions_and_labels(
    world: World, finding: DriftFinding
) -> None:
    looked_at = {column.name for column in finding.report.columns} | set(finding.report.skipped)
    assert {SCORE, LABEL} <= looked_at
    assert looked_at & set(world.learning.feature_set.names)
    assert LABEL not in finding.report.skipped, finding.report.skipped


def test_performance_without_labels_is_estimated_or_said_not_to_be(
    world: World, finding: DriftFinding
) -> None:
    expectation = finding.expectation
    assert expectation.is_estimated == world.learning.task.estimated_without_labels
    page = render_drift(world.name, finding, "a sentence")
    assert ("Not estimated for this task" in page) is not expectation.is_estimated


def test_predictions_fall_into_several_bins_of_a_canary(world: World) -> None:
    """Bins between 0 and 1 would hold all predictions outside of them in one."""
    edges = score_edges_of(world.bundle.manifest.components, world.bundle, SCORE_EDGES)
    snapshot = world.learning.snapshot(world.engine, NOW_US).tail(500)
    model = load_model(world.bundle, allow_pickle=False)
    values = world.learning.headline(model.score(world.learning.features(snapshot)))
    shares = np.bincount(np.digitize(values, edges), minlength=len(edges) + 1) / len(values)
    assert shares.max() < 0.9
    assert np.count_nonzero(shares) >= 3


def test_a_history_of_the_task_is_played_again(world: World, tmp_path: Path) -> None:
    history = connect_read_only(world.engine.url.render_as_string(hide_password=False))
    begin, end = NOW_US - 90 * MICROS_PER_DAY, NOW_US - 40 * MICROS_PER_DAY
    spans = plan_spans(Interval.parse("P45D"), begin, end)
    asked = Asked(
        use_case=world.learning,
        history=history,
        spans=spans,
        known_us=NOW_US,
        work=tmp_path,
        seed=1,
        latency_budget_ms=1_000.0,
        pages=False,
        settings=(False,),
    )
    rounds = replay(asked, Notebook())
    history.dispose()
    metric = world.learning.policy.primary_metric
    assert len(rounds) == len(spans) == 2
    assert rounds[0].status is RunStatus.SUCCEEDED, rounds[0].reason
    known = [one for record in rounds for one in record.scores.values() if one]
    assert known
    assert all(one[metric] is not None for one in known)
    assert metric.replace("_", " ") in verdict(rounds, metric)


def test_the_page_names_every_task_and_its_example() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    [header] = [line for line in lines if line.startswith("| | ")]
    [examples] = [line for line in lines if line.startswith("| example")]
    tasks = [cell.strip() for cell in header.split("|")[2:-1]]
    names = [cell.strip(" `") for cell in examples.split("|")[2:-1]]
    assert tasks == [kind.value for kind in TaskKind]
    kinds = {name: usecases.load_learning(name).task.kind.value for name in names}
    assert [kinds[name] for name in names] == tasks
    assert json.dumps(sorted(names)) == json.dumps(sorted(DECLARED))
