"""Reasons of an answer on request, `?reasons=N`: the largest contributions to the raw score.

A request without the option never comes here. One with it is scored like any other; its answer
carries a note of what it rests on, which becomes reasons outside of the pipeline. The trees of a
version are read from its bundle when it is first asked, on a thread: that takes a while.
`explained_batches` does the same for many rows at once.
"""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qs

import numpy as np
import orjson
from pydantic import BaseModel, Field, create_model

from api.http.callers import Caller
from api.http.problems import INVALID_REQUEST, NO_REASONS, Problem
from api.models.model_loader import ModelLoader
from api.models.model_slot import ModelSlot
from api.scoring.endpoint import PacedRequestWork
from api.scoring.stages import EncodedReply, Reply
from api.scoring.work import RowWork
from shared.contracts.http import FieldProblem
from shared.errors import UnderstudyError
from shared.explain import Explains, NotExplainable, explainer_of
from shared.scoring.session import GRAPH
from shared.transaction import Transaction
from shared.usecase.serving import (
    MOST_REASONS,
    Answer,
    FloatVector,
    ReasonRule,
    Responder,
    ScoringRoute,
    ServedModel,
)

OPTION = "reasons"
# Live version, fallback, version on trial, and the version of a duplicate.
_MOST_KEPT = 4
_REMEDY = "send the request without ?reasons"
# Explaining this many tree nodes takes milliseconds: done on a thread, not on the event loop.
_MANY_NODES = 10_000


class Reason(BaseModel):
    """Contribution of one column or feature to the raw score of this row."""

    feature: str
    value: float | bool | str | None = Field(description="The value in the request; null: missing.")
    contribution: float = Field(description="Above 0: it raised the raw score.")


class Explained(NamedTuple):
    """An explainer, and where in a whole vector the inputs of its version are."""

    explainer: Explains
    columns: "np.typing.NDArray[np.intp]"


class Explanations:
    """Explainers by version, made when they are first asked for; safe to be used by threads."""

    def __init__(self, loader: ModelLoader, slot: ModelSlot, features: Sequence[str]) -> None:
        self._loader = loader
        self._slot = slot
        self._place = {name: at for at, name in enumerate(features)}
        self._made: dict[str, Explained | Problem] = {}
        self._making = threading.Lock()
        self.batch_turn = asyncio.Semaphore(1)
        """Batches are explained one after the other: each would fill a core on its own."""

    @property
    def versions(self) -> list[str]:
        """Versions that may answer the next row."""
        models = (self._slot.live, self._slot.trial)
        return [model.version for model in models if model is not None]

    def is_ready(self, version: str) -> bool:
        return version in self._made

    def is_slow(self, version: str) -> bool:
        """True if explaining an answer of this version takes long."""
        found = self._made.get(version)
        return isinstance(found, Explained) and found.explainer.nodes > _MANY_NODES

    def prepare(self) -> None:
        """Make those of all versions that may answer: a refusal comes before a row is decided.

        Raises:
            Problem: one cannot explain its answers.
        """
        for version in self.versions:
            self.of(version)

    async def prepare_paced(self) -> None:
        """The same, on a thread where it takes a while."""
        for version in self.versions:
            await self.ready(version)

    async def ready(self, version: str) -> None:
        """Wait until the explainer of a version is made.

        Raises:
            Problem: this version's answers cannot be explained.
        """
        if self.is_ready(version):
            self.of(version)
        else:
            await asyncio.to_thread(self.of, version)

    def of(self, version: str) -> Explained:
        """Makes it if need be.

        Raises:
            Problem: this version's answers cannot be explained.
        """
        found = self._made.get(version)
        if found is None:
            with self._making:
                found = self._made.get(version) or self._make(version)
                while len(self._made) >= _MOST_KEPT:
                    del self._made[next(iter(self._made))]
                self._made[version] = found
        if isinstance(found, Problem):
            raise Problem(found.kind, found.detail)
        return found

    def _make(self, version: str) -> Explained | Problem:
        try:
            bundle = self._loader.bundle(version)
            names = bundle.manifest.feature_names
            explainer = explainer_of(bundle.files[GRAPH], names, bundle.manifest.components)
            columns = np.array([self._place[name] for name in names], dtype=np.intp)
        except (NotExplainable, KeyError) as error:
            why = f"{error}" if isinstance(error, NotExplainable) else "it is not such a graph"
            return Problem(NO_REASONS, f"version {version} cannot give reasons: {why}; {_REMEDY}")
        except (UnderstudyError, OSError) as error:
            detail = f"version {version} cannot be read any more ({error}); {_REMEDY}"
            return Problem(NO_REASONS, detail)
        return Explained(explainer, columns)


class _Note(NamedTuple):
    """The basis of an answer; stands in its body until reasons are computed from it."""

    row: Transaction
    vector: FloatVector
    scores: FloatVector
    model: ServedModel


class _Noting:
    """A responder whose answers carry a note."""

    def __init__(self, respond: Responder) -> None:
        self._respond = respond

    def __call__(
        self,
        transaction: Transaction,
        vector: FloatVector,
        scores: FloatVector,
        model: ServedModel,
    ) -> Answer:
        answer = self._respond(transaction, vector, scores, model)
        answer.body = {**answer.body, OPTION: _Note(transaction, vector, scores, model)}
        return answer


def noting(route: ScoringRoute) -> ScoringRoute:
    """The same route, whose answers `ReasonedWork` completes."""
    return replace(route, respond=_Noting(route.respond))


@dataclass(frozen=True, slots=True)
class Teller:
    """Makes reasons of notes, by the rule of a route."""

    explanations: Explanations
    rule: ReasonRule

    def encoded(self, reply: Reply, count: int) -> EncodedReply:
        """`completed`, as JSON."""
        return EncodedReply(orjson.dumps(self.completed(reply, count).body), reply.version)

    def completed(self, reply: Reply, count: int) -> Reply:
        """The reply with at most `count` reasons instead of its note.

        Raises:
            Problem: the version that decided this row cannot explain it.
        """
        note = cast(_Note, reply.body[OPTION])
        explainer, columns = self.explanations.of(note.model.version)
        vector, target = note.vector[columns], self.rule.target(note.scores, note.model)
        contributions = self._named(note.row, explainer.names, vector, explainer, target)
        body = {
            **reply.body,
            OPTION: contributions[:count],
            "raw_score": sum(one["contribution"] for one in contributions)
            + float(explainer.expected[target]),
            "expected_raw_score": float(explainer.expected[target]),
        }
        return Reply(body, reply.version)

    def _named(
        self,
        row: Transaction,
        features: Sequence[str],
        vector: FloatVector,
        explainer: Explains,
        target: int,
    ) -> list[dict[str, Any]]:
        """All contributions other than 0, the largest first, those of one name added."""
        sums: dict[str, float] = {}
        numbers: dict[str, float | None] = {}
        found = explainer.contributions(np.ascontiguousarray(vector), target).tolist()
        for feature, number, contribution in zip(features, vector.tolist(), found, strict=True):
            name = self.rule.names.get(feature, feature)
            sums[name] = sums.get(name, 0.0) + contribution
            numbers.setdefault(name, None if number != number else number)  # noqa: PLR0124 - NaN
        return [
            {
                "feature": name,
                "value": self.rule.value(row, name, numbers[name]),
                "contribution": sums[name],
            }
            for name in sorted(sums, key=lambda name: -abs(sums[name]))
            if sums[name] != 0.0
        ]


class ReasonedWork(PacedRequestWork):
    """Scores the body of one row, and tells reasons of the answer."""

    def __init__(self, work: RowWork, teller: Teller, count: int) -> None:
        """`work` scores for a route that was made by `noting`."""
        self._work = work
        self._teller = teller
        self._count = count

    def __call__(self, body: bytes, caller: Caller) -> EncodedReply:
        self._teller.explanations.prepare()
        return self._teller.encoded(self._work.scored(body, caller), self._count)

    async def paced(self, body: bytes, caller: Caller) -> EncodedReply:
        explanations = self._teller.explanations
        await explanations.prepare_paced()
        reply = await self._work.scored_in_turn(body, caller)
        # a duplicate may have been decided by another version
        await explanations.ready(reply.version)
        if explanations.is_slow(reply.version):
            return await asyncio.to_thread(self._teller.encoded, reply, self._count)
        return self._teller.encoded(reply, self._count)


def wanted_reasons(query: bytes, rule: ReasonRule | None) -> int:
    """The number of reasons that a query string asks for; 0: none.

    Raises:
        Problem: it says no such number, or the route tells none.
    """
    if not query or OPTION.encode() not in query:
        return 0
    said = parse_qs(query.decode("latin-1"), keep_blank_values=True).get(OPTION)
    if said is None:
        return 0
    if rule is None:
        remedy = "leave it out; /predict and /predict/batch return reasons"
        raise _refused("this address returns no reasons", remedy)
    if said == [""]:
        return rule.default
    number = said[0]
    if len(said) > 1 or not number.isascii() or not number.isdigit() or len(number) > 3:
        raise _refused("it is not a number", f"write a whole number from 0 to {MOST_REASONS}")
    if int(number) > MOST_REASONS:
        raise _refused(f"{number} are too many", f"ask for at most {MOST_REASONS}")
    return int(number)


def _refused(problem: str, remedy: str) -> Problem:
    error = FieldProblem(field=OPTION, problem=problem, remedy=remedy)
    return Problem(INVALID_REQUEST, f"{OPTION}: {problem}: {remedy}", errors=[error])


def refuse_rows(rows: int, most: int) -> None:
    """Refuse a batch of more rows than are explained in one request.

    Raises:
        Problem: names the limit.
    """
    if rows > most:
        problem = f"{rows} rows are too many to be explained in one request"
        raise _refused(problem, f"send at most {most} rows, or leave it out")


@lru_cache(maxsize=16)
def _with_reasons(model: type[BaseModel]) -> type[BaseModel]:
    """One class for rows and batches, so that OpenAPI has one schema."""
    only = f"Only with ?{OPTION}"
    scale = (
        "binary: log-odds of the positive class, of blended models their probability; "
        "multiclass: before the softmax"
    )
    fields_added: Any = {
        OPTION: (
            list[Reason] | None,
            Field(None, description=f"{only}: the largest contributions, the largest first."),
        ),
        "raw_score": (float | None, Field(None, description=f"{only}. {scale}.")),
        "expected_raw_score": (
            float | None,
            Field(None, description=f"{only}: its sum with all contributions is the raw score."),
        ),
    }
    made: type[BaseModel] = create_model(model.__name__, __base__=model, **fields_added)
    return made


def reasoned_model(route: ScoringRoute) -> type[BaseModel]:
    """The schema of a route's answer that may hold reasons."""
    return _with_reasons(route.response_model)


def documented_option(rule: ReasonRule, most_rows: int | None = None) -> dict[str, Any]:
    """The option as a parameter of OpenAPI; of a batch, with the limit of its rows."""
    of_batch = "" if most_rows is None else f" Of each row; with at most {most_rows} rows."
    return {
        "name": OPTION,
        "in": "query",
        "required": False,
        "allowEmptyValue": True,
        "description": f"Return this many of the largest contributions to the raw score; without a "
        f"number {rule.default}. Exact for the trees of the version that answers.{of_batch}",
        "schema": {"type": "integer", "minimum": 0, "maximum": MOST_REASONS},
    }
