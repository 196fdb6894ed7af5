"""The replay itself: round after round of the real cycle, then a look at what came of it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Engine, select
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.held_out import HeldOutStore
from scheduler.cycle.interruption import Interruption
from scheduler.cycle.parts import Parts
from scheduler.cycle.progress import stoppable
from scheduler.cycle.records import RunRecorder
from scheduler.cycle.runner import CycleRunner
from scheduler.publisher import Publisher
from scheduler.replay.history import Hindsight
from scheduler.replay.identity import identity, round_keys
from scheduler.replay.plan import Span
from scheduler.replay.policies import Outcome, serving
from scheduler.replay.record import Round
from scheduler.replay.scores import Scores, score_period
from scheduler.replay.use_case import historic
from scheduler.replay.workshop import HELD_OUT, Workshop, open_workshop
from scheduler.schedule.jobs import RETRAINING
from shared.bundle.archive import unpack
from shared.bundle.version import Version
from shared.errors import DataUnavailable
from shared.keys.signing import sign
from shared.scoring.session import OnnxModel
from shared.tables.engine import database_errors
from shared.tables.runs import Run, claim_next, request_run
from shared.tables.schema import features_config
from shared.usecase.learning import LearningUseCase, Progress

NAME_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be replayed.

    Attributes:
        known_us: labels that became known by then say how a model did.
        settings: whatever else makes this replay another one.
    """

    use_case: LearningUseCase
    history: Engine
    spans: tuple[Span, ...]
    known_us: int
    work: Path
    seed: int
    latency_budget_ms: float
    pages: bool = False
    settings: tuple[object, ...] = ()


class Watcher(Protocol):
    """Told how far it is."""

    def reading(self) -> None: ...

    def planned(self, folder: Path, finished: Sequence[Round], total: int) -> None: ...

    def step(self, span: Span, what: str) -> None: ...

    def ended(self, record: Round) -> None: ...


@dataclass(slots=True)
class SettableClock:
    """Stands at the instant that a round is about."""

    instant_us: int = 0

    def now_us(self) -> int:
        return self.instant_us


def replay(asked: Asked, watcher: Watcher) -> list[Round]:
    """All rounds, those that an earlier process finished not played again.

    Raises:
        ReplayImpossible: there is nothing to replay, or another process is at it.
        DataUnavailable: the history cannot be read; finished rounds stay.
    """
    watcher.reading()
    hindsight = Hindsight(asked.use_case, asked.history, asked.known_us)
    hindsight.check(asked.spans)
    switched = _switched_features(asked.history)
    named = identity(asked.use_case, (*_settings(asked), switched))
    keys = round_keys(named, asked.spans, hindsight)
    with open_workshop(asked.work / named[:NAME_LENGTH]) as workshop:
        rounds = workshop.rounds.finished(keys)
        workshop.restore(rounds, switched)
        watcher.planned(workshop.folder, rounds, len(asked.spans))
        player = _Player(asked, workshop, hindsight, watcher)
        for span, key in list(zip(asked.spans, keys, strict=True))[len(rounds) :]:
            record = player.play(span, key, rounds)
            workshop.rounds.save(record)
            rounds.append(record)
            watcher.ended(record)
    return rounds


class _Player:
    """Plays one round after the other."""

    def __init__(
        self, asked: Asked, workshop: Workshop, hindsight: Hindsight, watcher: Watcher
    ) -> None:
        self._asked = asked
        self._workshop = workshop
        self._hindsight = hindsight
        self._watcher = watcher
        self._clock = SettableClock()
        self._span = asked.spans[0]
        self._models: dict[str, OnnxModel] = {}
        recorder = RunRecorder(workshop.engine, workshop.log)
        self._runner = CycleRunner(self._parts(), recorder)

    def play(self, span: Span, key: str, before: Sequence[Round]) -> Round:
        started = time.perf_counter()
        self._span, self._clock.instant_us = span, span.as_of_us
        self._watcher.step(span, "cycle")
        row = self._run(span)
        digest = self._candidate_digest(row)
        self._watcher.step(span, "what came of it")
        outcome = Outcome(row["modelversion"] if digest else None, row["status"] == "SUCCEEDED")
        served = serving([*(record.outcome for record in before), outcome])
        later = self._hindsight.period(span)
        versions = sorted({version for version in served.values() if version})
        scores: dict[str, Scores] = {
            version: score_period(self._asked.use_case, self._model(version), later)
            for version in versions
        }
        return Round(
            key=key,
            span=span,
            run=row,
            bundle_sha256=digest,
            serving=served,
            scores=scores,
            rows=len(later.labels),
            positives=int((later.labels == 1).sum()),
            unlabelled=later.unlabelled,
            seconds=round(time.perf_counter() - started, 3),
        )

    def _run(self, span: Span) -> Mapping[str, Any]:
        engine = self._workshop.engine
        run_id = request_run(engine, RETRAINING, span.as_of_us, "replay")
        claimed: Run | None = claim_next(engine)
        if claimed is None or claimed.run_id != run_id:
            raise DataUnavailable("the replay's own database is used by somebody else")
        self._runner.execute(claimed)
        # too little history is a result of a round; a database that went away is none
        _switched_features(self._asked.history)
        return self._workshop.date_run(run_id, span.as_of_us)

    def _candidate_digest(self, row: Mapping[str, Any]) -> str | None:
        if row["modelversion"] is None:
            return None
        raw = self._workshop.candidates.bundle(Version.parse(row["modelversion"]))
        return None if raw is None else unpack(raw).sha256

    def _model(self, version: str) -> OnnxModel:
        if version not in self._models:
            raw = self._workshop.candidates.bundle(Version.parse(version))
            if raw is None:
                raise DataUnavailable(f"the bundle of {version} is gone from the work folder")
            self._models[version] = OnnxModel.load(unpack(raw))
        return self._models[version]

    def _parts(self) -> Parts:
        asked, workshop = self._asked, self._workshop
        registry = workshop.registry
        return Parts(
            use_case=historic(asked.use_case, asked.history),
            engine=workshop.engine,
            clock=self._clock,
            api=registry,
            publisher=Publisher(registry, lambda raw: sign(raw, workshop.key)),
            candidates=workshop.candidates,
            held_out=HeldOutStore(workshop.folder / HELD_OUT, keep=1),
            interruption=Interruption(),
            log=workshop.log,
            latency_budget_ms=asked.latency_budget_ms,
            seed=asked.seed,
            reports=asked.pages,
            progress=self._progress,
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


def _settings(asked: Asked) -> tuple[object, ...]:
    return (
        asked.settings,
        asked.spans[0],
        asked.seed,
        asked.latency_budget_ms,
        asked.use_case.policy,
    )


def _switched_features(history: Engine) -> list[dict[str, Any]]:
    """FeaturesConfig of the history: the replay leaves out what production leaves out."""
    query = select(features_config).order_by(features_config.c.featurename)
    with database_errors("read the history"), history.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]
