"""One row on its way from a request to its answer."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import BaseModel

from api.http.callers import Caller
from api.http.problems import Problem
from api.journal.entries import Decided
from api.models.loaded import LiveModel
from api.scoring.idempotency import quarantine_key
from shared.transaction import Transaction
from shared.usecase.serving import Answer, FloatVector, ScoringRoute


class Reply(NamedTuple):
    """What a caller is told of a row, before it is JSON, and the version that made it."""

    body: dict[str, Any]
    version: str


@dataclass(slots=True)
class Row:
    """Filled in as scoring goes on; `outcome` is there when it is over.

    Attributes:
        caller: who sent it; stored with the decision.
        started: when the request was here as a whole, `time.perf_counter`.
        outcome: the answer, or the problem of this row alone.
        is_quarantined: it is scored and stored, and nobody else's features may see it.
        refusal: why it may not be decided, unless it was before.
    """

    request: BaseModel
    route: ScoringRoute
    caller: Caller
    started: float
    transaction: Transaction = field(init=False)
    decided: Decided = field(init=False)
    answer: Answer = field(init=False)
    outcome: Reply | Problem = field(init=False)
    is_quarantined: bool = False
    refusal: Problem | None = None

    @property
    def id(self) -> str:
        return self.transaction.transaction_id

    @property
    def key(self) -> str:
        """Under which its decision is found again."""
        name = self.transaction.transaction_id
        return quarantine_key(name) if self.is_quarantined else name

    @property
    def is_named(self) -> bool:
        """Whether the caller chose its id: only those can come twice."""
        return "transaction_id" in self.request.model_fields_set

    def decided_by(self, vector: FloatVector, scores: FloatVector, model: LiveModel) -> Decided:
        return Decided(self.transaction, vector, scores, model.served, self.caller.name)

    def answer_with(self, vector: FloatVector, scores: FloatVector, model: LiveModel) -> None:
        """Decide and answer by a version's scores and thresholds."""
        self.decided = self.decided_by(vector, scores, model)
        self.answer = respond(self.route, self.decided)
        self.outcome = Reply(self.answer.body, model.version)

    def answer_like(self, decided: Decided) -> None:
        """Answer with what was decided about this id before."""
        self.outcome = Reply(respond(self.route, decided).body, decided.served.version)


def respond(route: ScoringRoute, decided: Decided) -> Answer:
    return route.respond(decided.transaction, decided.vector, decided.scores, decided.served)
