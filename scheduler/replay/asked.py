"""The request for a replay, and the observers of its progress."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine

from scheduler.replay.plan import ReplaySpan
from scheduler.replay.record import Round
from shared.usecase.learning import LearningUseCase


@dataclass(frozen=True, slots=True)
class Asked:
    """The request for a replay.

    Attributes:
        known_us: models are evaluated with the labels known by then.
        settings: other settings that distinguish this replay from others.
    """

    use_case: LearningUseCase
    history: Engine
    spans: tuple[ReplaySpan, ...]
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

    def step(self, span: ReplaySpan, what: str) -> None: ...

    def ended(self, record: Round) -> None: ...
