"""The stages of a scoring request, one type each, and the reservation of accepted rows.

| stage | holds | made by |
|---|---|---|
| `Received` | a parsed request, its route, its caller | fast path, FastAPI route, batch, peer |
| `Accepted` | the transaction, stamped with its ingestion time | `ScoringPipeline` |
| `Featured` | accepted rows and their feature vectors | `ScoringPipeline` |
| `Scored` | a decision and its answer | `api.scoring.model_router` |
| `Recorded` | a decision as the journal keeps it | `ScoringPipeline`, and recovery at start-up |

A row leaves the pipeline as a `Reply` or as a `Problem`. None of these types is changed after it
was made; they are not frozen only because that triples the cost of making one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel

from api.http.callers import Caller
from api.http.headers import JSON_HEADERS, RawHeaders
from api.http.problems import Problem
from api.journal.drain import Commit
from api.journal.entries import Decided
from shared.transaction import Transaction
from shared.usecase.serving import Answer, FloatMatrix, ScoringRoute, ServedModel


@dataclass(slots=True)
class Received:
    """A parsed request.

    Attributes:
        caller: who sent it; stored with the decision.
        started: when the request had arrived completely, `time.perf_counter`.
    """

    request: BaseModel
    route: ScoringRoute
    caller: Caller
    started: float


@dataclass(slots=True)
class Accepted:
    """A validated row.

    Attributes:
        received: the request it came from.
        position: its place among the rows of one run of the pipeline.
        transaction: the transaction of the request; `ingested_at_us` is final.
        key: the idempotency key; quarantined rows have separate keys.
        is_named: the caller chose its id: only such a row can arrive twice.
        is_quarantined: it is scored and stored, and no other row's features may see it.
        refusal: the reason it must not be scored, unless it was decided before.
    """

    received: Received
    position: int
    transaction: Transaction
    key: str
    is_named: bool
    is_quarantined: bool = False
    refusal: Problem | None = None


class Featured(NamedTuple):
    """Accepted rows and their feature vectors.

    Attributes:
        matrix: a line for each row, (rows, features).
        is_whole: all history was read in time.
    """

    rows: Sequence[Accepted]
    matrix: FloatMatrix
    is_whole: bool


class Scored(NamedTuple):
    """A row with its decision; the reply is made of its answer."""

    row: Accepted
    decided: Decided
    answer: Answer


class Recorded(NamedTuple):
    """A decision that the journal has.

    Attributes:
        key: finds it again, see `Accepted.key`.
        record: the bytes in the journal.
        served: what answered: its version and thresholds.
    """

    key: str
    record: bytes
    served: ServedModel


class Reply(NamedTuple):
    """The answer to one row, before it is JSON, and the version that made it.

    Attributes:
        commit: it may not leave before this; None: it may.
    """

    body: dict[str, Any]
    version: str
    commit: Commit | None = None


RowOutcome = Reply | Problem
"""The outcome of the pipeline for one row."""


@dataclass(frozen=True, slots=True)
class EncodedReply:
    """The bytes of an answer; `lines` are the header lines of one that another worker made."""

    body: bytes
    version: str
    status: int = 200
    lines: bytes | None = None

    def headers(self) -> RawHeaders:
        if self.lines is None:
            return [*JSON_HEADERS, (b"x-model-version", self.version.encode())]
        pairs = (line.split(b": ", 1) for line in self.lines.split(b"\r\n") if line)
        return [(name, value) for name, value in pairs]


def answer_of(route: ScoringRoute, decided: Decided) -> Answer:
    """Makes a route's answer from a decision."""
    return route.respond(decided.transaction, decided.vector, decided.scores, decided.served)


def reply_of(route: ScoringRoute, decided: Decided, commit: Commit | None = None) -> Reply:
    """The reply to a row that was decided before, possibly by another route."""
    return Reply(answer_of(route, decided).body, decided.served.version, commit)
