"""Plays one round: the drift check, the cycle, and how each policy did until the next round."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.baseline import SCORE
from scheduler.cycle.champion import ServedBundles
from scheduler.cycle.context import CycleContext
from scheduler.cycle.held_out import HeldOutStore
from scheduler.cycle.interruption import Interruption
from scheduler.cycle.records import RunRecorder
from scheduler.cycle.runner import CycleRunner
from scheduler.cycle.steps import stoppable
from scheduler.drift.baseline import ChampionBaseline, NotChecked, baseline_of_champion
from scheduler.drift.column_baseline import Rows
from scheduler.drift.finding import DriftFinding, weigh
from scheduler.drift.live import DriftWindow, Live
from scheduler.drift.record import to_json
from scheduler.drift.runner import DRIFTED, NO_DRIFT, NOT_CHECKED
from scheduler.publisher import Publisher
from scheduler.replay.history import (
    Hindsight,
    Later,
    MetricValues,
    headline_scores,
    score_period,
    switched_features,
)
from scheduler.replay.plan import ReplaySpan, RoundOutcome, serving
from scheduler.replay.protocol import historic
from scheduler.replay.record import Asked, Round, Watcher
from scheduler.replay.workspace import HELD_OUT, Workspace
from scheduler.schedule.jobs import DRIFT, RETRAINING
from shared.bundle.archive import unpack
from shared.bundle.version import Version
from shared.clock import MICROS_PER_DAY, to_micros
from shared.errors import DataUnavailable
from shared.keys.store import sign
from shared.scoring.session import OnnxModel
from shared.tables.runs import Run, RunStatus, claim_next, finish, request_run
from shared.tasks import Task, TaskKind, label_values
from shared.usecase.learning import LearningUseCase, Progress
from shared.usecase.rows import LABEL, LABEL_KNOWN_AT, TIME

# The drift check of a replay, on the rows that the champion would have served.
#
# In production rows are compared as the API served them. A replay serves no rows, so the rows of
# the week before a round are scored by the champion, with the features they had when they came.
# Labels are those of the rows a label delay earlier, as far as they were known at the round.

INGESTED = "ingested_at"
WINDOW_US = 7 * MICROS_PER_DAY
Days = npt.NDArray[np.int64]


def look_back(
    use_case: LearningUseCase,
    hindsight: Hindsight,
    model: OnnxModel,
    champion: ChampionBaseline,
    as_of_us: int,
) -> DriftFinding:
    """Compare the week before an instant with what the champion was trained on.

    Raises:
        NotChecked: there is too little to say anything.
    """
    window = DriftWindow(as_of_us - WINDOW_US, as_of_us, as_of_us)
    served = _arrived(hindsight.between(window.start_us, window.end_us), as_of_us)
    earlier = window.earlier(champion.baseline.label_delay_us)
    matured = _known(hindsight.between(earlier.start_us, earlier.end_us), as_of_us)
    made_us = to_micros(model.manifest.created_at)
    ours, known = _since(served, made_us), _since(matured, made_us)
    scores = headline_scores(use_case, model, ours)
    times = served.rows[TIME]
    live = Live(
        groups=(
            Rows(_columns(use_case, model, served), _days(served)),
            Rows({SCORE: scores}, _days(ours)),
            Rows({LABEL: _label_values(use_case.task, matured)}, _days(matured)),
        ),
        scores=scores,
        labelled_scores=headline_scores(use_case, model, known),
        labelled_positive=_positive(use_case.task, known),
        span_us=int(times[-1] - times[0]) if len(times) else 0,
    )
    return weigh(live, champion, window)


def _label_values(task: Task, matured: Later) -> npt.NDArray[Any]:
    values = label_values(task, matured.labels(task))
    return values.astype(np.int64) if task.is_classification else values


def _positive(task: Task, later: Later) -> npt.NDArray[np.bool_]:
    if task.kind is not TaskKind.BINARY:
        return np.zeros(later.rows.height, dtype=np.bool_)
    return np.asarray(later.labels(task) == 1, dtype=np.bool_)


def _arrived(later: Later, as_of_us: int) -> Later:
    if INGESTED not in later.rows.columns:
        return later
    return later.take(later.rows[INGESTED].to_numpy() <= as_of_us)


def _known(later: Later, as_of_us: int) -> Later:
    if LABEL_KNOWN_AT not in later.rows.columns:
        return later.take(np.zeros(later.rows.height, np.bool_))
    known = (pl.col(LABEL_KNOWN_AT) <= as_of_us) & pl.col(LABEL).is_not_null()
    return later.take(later.rows.select(known.fill_null(value=False)).to_series().to_numpy())


def _since(later: Later, instant_us: int) -> Later:
    """Rows that the champion can have scored: it did not exist before."""
    return later.take(later.rows[TIME].to_numpy() >= instant_us)


def _columns(use_case: LearningUseCase, model: OnnxModel, later: Later) -> dict[str, Any]:
    texts = {name: later.rows[name].to_numpy() for name in use_case.columns.words
             if name in later.rows.columns}  # fmt: skip
    names = use_case.feature_set.names
    wanted = model.manifest.feature_names
    words = use_case.feature_set.categories
    return texts | {
        name: later.matrix[:, names.index(name)] for name in wanted if name not in words
    }


def _days(later: Later) -> Days:
    days: Days = later.rows[TIME].to_numpy() // MICROS_PER_DAY
    return days


REQUESTED_BY = "replay"


@dataclass(slots=True)
class SettableClock:
    """Stands at the instant that a round is about."""

    instant_us: int = 0

    def now_us(self) -> int:
        return self.instant_us


class RoundRunner:
    """Everything the rounds of one replay share."""

    def __init__(
        self, asked: Asked, workspace: Workspace, hindsight: Hindsight, watcher: Watcher
    ) -> None:
        self._asked = asked
        self._workspace = workspace
        self._hindsight = hindsight
        self._watcher = watcher
        self._clock = SettableClock()
        self._span = asked.spans[0]
        self._models: dict[str, OnnxModel] = {}
        recorder = RunRecorder(workspace.engine, workspace.log)
        self._runner = CycleRunner(self._context(), recorder)

    def play(self, span: ReplaySpan, key: str, before: Sequence[Round]) -> Round:
        started = time.perf_counter()
        self._span, self._clock.instant_us = span, span.as_of_us
        self._watcher.step(span, "drift")
        drift = self._look_for_drift(span)
        self._watcher.step(span, "cycle")
        row = self._run(span)
        digest = self._candidate_digest(row)
        self._watcher.step(span, "outcome")
        promoted = row["status"] == RunStatus.SUCCEEDED.value
        outcome = RoundOutcome(row["modelversion"] if digest else None, promoted)
        served = serving([*(record.outcome for record in before), outcome])
        later = self._hindsight.between(span.as_of_us, span.until_us)
        labelled = later.labelled()
        versions = sorted({version for version in served.values() if version})
        scores: dict[str, MetricValues] = {
            version: score_period(self._asked.use_case, self._model(version), labelled)
            for version in versions
        }
        return Round(
            key=key,
            span=span,
            drift=drift,
            run=row,
            bundle_sha256=digest,
            serving=served,
            scores=scores,
            rows=labelled.rows.height,
            positives=self._positives(labelled),
            unlabelled=later.rows.height - labelled.rows.height,
            seconds=round(time.perf_counter() - started, 3),
        )

    def _positives(self, labelled: Later) -> int:
        return int(np.count_nonzero(_positive(self._asked.use_case.task, labelled)))

    def _look_for_drift(self, span: ReplaySpan) -> Mapping[str, Any] | None:
        """The row of a drift check, as the daily job would have left it; the gate reads it."""
        serving_now = self._workspace.registry.current()
        if serving_now is None:
            return None
        run = self._claim(DRIFT, span)
        try:
            bundles = ServedBundles(self._workspace.registry, self._workspace.candidates)
            champion = baseline_of_champion(bundles)
            model = self._model(serving_now.version)
            finding = look_back(
                self._asked.use_case, self._hindsight, model, champion, span.as_of_us
            )
        except NotChecked as error:
            self._finish(run, RunStatus.SKIPPED, NOT_CHECKED, str(error), None)
        else:
            code = DRIFTED if finding.report.drifted else NO_DRIFT
            names = ", ".join(column.name for column in finding.report.alarms)
            said = f"drift in {names}" if names else "no drift"
            self._finish(run, RunStatus.SUCCEEDED, code, said, to_json(finding))
        return self._workspace.date_run(run.run_id, span.as_of_us)

    def _run(self, span: ReplaySpan) -> Mapping[str, Any]:
        run = self._claim(RETRAINING, span)
        self._runner.execute(run)
        # too little history is a result of a round; an unavailable database is an error
        switched_features(self._asked.history)
        return self._workspace.date_run(run.run_id, span.as_of_us)

    def _claim(self, job: str, span: ReplaySpan) -> Run:
        engine = self._workspace.engine
        run_id = request_run(engine, job, span.as_of_us, REQUESTED_BY)
        claimed = claim_next(engine)
        if claimed is None or claimed.run_id != run_id:
            raise DataUnavailable("another process uses the replay's database")
        return claimed

    def _finish(
        self, run: Run, status: RunStatus, code: str, said: str, metrics: Mapping[str, Any] | None
    ) -> None:
        finish(self._workspace.engine, run.run_id, status, code, said, metrics=metrics)

    def _candidate_digest(self, row: Mapping[str, Any]) -> str | None:
        if row["modelversion"] is None:
            return None
        raw = self._workspace.candidates.bundle(Version.parse(row["modelversion"]))
        return None if raw is None else unpack(raw).sha256

    def _model(self, version: str) -> OnnxModel:
        if version not in self._models:
            raw = self._workspace.candidates.bundle(Version.parse(version))
            if raw is None:
                raise DataUnavailable(f"the bundle of {version} is gone from the work folder")
            self._models[version] = OnnxModel.load(unpack(raw))
        return self._models[version]

    def _context(self) -> CycleContext:
        asked, workspace = self._asked, self._workspace
        registry = workspace.registry
        return CycleContext(
            use_case=historic(asked.use_case, asked.history),
            engine=workspace.engine,
            clock=self._clock,
            api=registry,
            publisher=Publisher(registry, lambda raw: sign(raw, workspace.key)),
            candidates=workspace.candidates,
            held_out=HeldOutStore(workspace.folder / HELD_OUT, keep=1),
            interruption=Interruption(),
            log=workspace.log,
            latency_budget_ms=asked.latency_budget_ms,
            seed=asked.seed,
            reports=asked.pages,
            progress=self._progress,
            trains_while_fresh=True,
        )

    @contextmanager
    def _progress(
        self,
        step: str,
        log: FilteringBoundLogger,  # noqa: ARG002
        interruption: Interruption,
    ) -> Iterator[Progress]:
        def tell(what: str, share: float) -> None:
            self._watcher.step(self._span, f"{step} {share:.0%}: {what}")

        yield stoppable(tell, interruption)
