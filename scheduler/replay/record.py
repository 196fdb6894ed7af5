"""A replay as it was asked for, and its finished rounds as they are kept.

A round says what the cycle did, the live version since, and how that went.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson
from sqlalchemy import Engine

from scheduler.drift.alarm import ALARM
from scheduler.replay.history import MetricValues
from scheduler.replay.plan import Policy, ReplaySpan, RoundOutcome
from shared.tables.runs import RunStatus
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


@dataclass(frozen=True, slots=True)
class Round:
    """One round.

    Attributes:
        key: names everything that went into the round, the rounds before it included.
        drift: the row of ModelTrainingRuns of the drift check before it, if there was a model.
        run: the row that the cycle wrote.
        bundle_sha256: digest of the candidate's bundle, None when none was made.
        serving: policy -> version that serves from this round on.
        scores: version -> how it did until the next round.
        rows: labelled rows until the next round; `unlabelled` ones have no label by now.
    """

    key: str
    span: ReplaySpan
    drift: Mapping[str, Any] | None
    run: Mapping[str, Any]
    bundle_sha256: str | None
    serving: Mapping[Policy, str | None]
    scores: Mapping[str, MetricValues]
    rows: int
    positives: int
    unlabelled: int
    seconds: float

    @property
    def status(self) -> RunStatus:
        return RunStatus(self.run["status"])

    @property
    def candidate(self) -> str | None:
        """The version that was trained and can be scored."""
        version: str | None = self.run["modelversion"] if self.bundle_sha256 else None
        return version

    @property
    def outcome(self) -> RoundOutcome:
        return RoundOutcome(self.candidate, self.status is RunStatus.SUCCEEDED)

    @property
    def reason(self) -> str:
        return str(self.run["statusmessage"] or "")

    @property
    def drifted(self) -> bool | None:
        """True if the check raised the alarm; None if it could not be made."""
        metrics = self.drift["metrics"] if self.drift else None
        return None if metrics is None else bool(metrics[ALARM])

    def scored(self, policy: Policy) -> MetricValues:
        """The metrics of a policy's model; empty when it had no model or no labels are known."""
        version = self.serving[policy]
        return self.scores.get(version, {}) if version else {}


class Watcher(Protocol):
    """Told how far it is."""

    def reading(self) -> None: ...

    def planned(self, folder: Path, finished: Sequence[Round], total: int) -> None: ...

    def step(self, span: ReplaySpan, what: str) -> None: ...

    def ended(self, record: Round) -> None: ...


def to_json(record: Round) -> bytes:
    return orjson.dumps(asdict(record), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)


def from_json(text: bytes) -> Round:
    """The round as it was stored.

    Raises:
        ValueError: the text is not a record of a round.
    """
    try:
        stored = orjson.loads(text)
        stored["span"] = ReplaySpan(**stored["span"])
        stored["serving"] = {Policy(name): value for name, value in stored["serving"].items()}
        return Round(**stored)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a round: {error}") from error
