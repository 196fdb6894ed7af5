"""The replay itself: round after round of the real cycle, then a look at what came of it."""

import hashlib
import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

import scheduler
import shared
from scheduler.replay.history import Hindsight, switched_features
from scheduler.replay.plan import ReplaySpan
from scheduler.replay.record import Asked, Round, Watcher
from scheduler.replay.rounds import RoundRunner
from scheduler.replay.workspace import open_workspace
from shared.usecase.learning import LearningUseCase

# The identity of a replay: code, policy, schedule and history.

_CODE = ("*.py", "*.toml")


def identity(use_case: LearningUseCase, settings: Sequence[object]) -> str:
    """A digest of the code that decides, and of these settings; changed code is another replay."""
    digest = hashlib.sha256(repr((pl.__version__, use_case.name, tuple(settings))).encode())
    for path in _sources(use_case):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def round_keys(identity: str, spans: Sequence[ReplaySpan], hindsight: Hindsight) -> list[str]:
    """A key for each round; it changes when an earlier round's does, or when the history has."""
    keys: list[str] = []
    before = identity
    for span in spans:
        known = hindsight.fingerprint(span.until_us)
        text = f"{before} {span.number} {span.as_of_us} {span.until_us} {known}"
        before = hashlib.sha256(text.encode()).hexdigest()
        keys.append(before)
    return keys


def _sources(use_case: LearningUseCase) -> Iterator[Path]:
    folders = [_folder(scheduler.__file__), _folder(shared.__file__)]
    folders.append(_folder(inspect.getfile(type(use_case))))
    for folder in folders:
        for pattern in _CODE:
            yield from sorted(folder.rglob(pattern))


def _folder(file: str | None) -> Path:
    return Path(str(file)).parent


NAME_LENGTH = 12


def replay(asked: Asked, watcher: Watcher) -> list[Round]:
    """All rounds, those that an earlier process finished not played again.

    Raises:
        ReplayImpossible: there is nothing to replay, or another process is at it.
        DataUnavailable: the history cannot be read; finished rounds stay.
    """
    watcher.reading()
    hindsight = Hindsight(asked.use_case, asked.history, asked.known_us)
    hindsight.check(asked.spans)
    switched = switched_features(asked.history)
    named = identity(asked.use_case, (*_settings(asked), switched))
    keys = round_keys(named, asked.spans, hindsight)
    with open_workspace(asked.work / named[:NAME_LENGTH]) as workspace:
        rounds = workspace.rounds.finished(keys)
        workspace.restore(rounds, switched)
        watcher.planned(workspace.folder, rounds, len(asked.spans))
        runner = RoundRunner(asked, workspace, hindsight, watcher)
        for span, key in list(zip(asked.spans, keys, strict=True))[len(rounds) :]:
            record = runner.play(span, key, rounds)
            workspace.rounds.save(record)
            rounds.append(record)
            watcher.ended(record)
    return rounds


def _settings(asked: Asked) -> tuple[object, ...]:
    return (
        asked.settings,
        asked.spans[0],
        asked.seed,
        asked.latency_budget_ms,
        asked.use_case.policy,
    )
