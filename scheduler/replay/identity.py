"""What makes two replays the same: the code, the policy, the schedule, and the history itself."""

import hashlib
import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

import scheduler
import shared
from scheduler.replay.history import Hindsight
from scheduler.replay.plan import Span
from shared.usecase.learning import LearningUseCase

_CODE = ("*.py", "*.toml")


def identity(use_case: LearningUseCase, settings: Sequence[object]) -> str:
    """A digest of the code that decides, and of these settings; changed code is another replay."""
    digest = hashlib.sha256(repr((pl.__version__, use_case.name, tuple(settings))).encode())
    for path in _sources(use_case):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def round_keys(identity: str, spans: Sequence[Span], hindsight: Hindsight) -> list[str]:
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
