"""Reasons of an answer on request, `?reasons=N`: the largest contributions to the raw score.

A request without the option never comes here. One with it is scored like any other; its answer
carries a note of what it rests on, which becomes reasons outside of the pipeline. The trees of a
version are read from its bundle when it is first asked, on a thread: that takes a while.
"""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from shared.contracts.problems import FieldProblem
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
# The live version, its fallback, one on trial, and one that decided a row that comes again.
_MOST_KEPT = 4
_REMEDY = "send the request without ?reasons"
# Trees of this many nodes take milliseconds to explain, which are not taken from the event loop.
_MANY_NODES = 10_000


class Reason(BaseModel):
    """What one column or feature adds to the raw score of this row."""

    feature: str
    value: float | bool | str | None = Field(description="As the request has it; null: missing.")
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

    @property
    def versions(self) -> list[str]:
        """Those that may answer the next row."""
        models = (self._slot.live, self._slot.trial)
        return [model.version for model in models if model is not None]

    def is_ready(self, version: str) -> bool:
        return version in self._made

    def is_slow(self, version: str) -> bool:
        """Whether explaining an answer of this version takes long."""
        found = self._made.get(version)
        return isinstance(found, Explained) and found.explainer.nodes > _MANY_NODES

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
            why = f"{error}" if isinstance(error, NotExplainable) else "it is no such graph"
            return Problem(NO_REASONS, f"version {version} cannot give reasons: {why}; {_REMEDY}")
        except (UnderstudyError, OSError) as error:
            detail = f"version {version} cannot be read any more ({error}); {_REMEDY}"
            return Problem(NO_REASONS, detail)
        return Explained(explainer, columns)


class _Note(NamedTuple):
    """What an answer rests on; stands in its body until reasons are made of it."""

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

    def completed(self, reply: Reply, count: int) -> EncodedReply:
        """The reply with at most `count` reasons instead of its note."""
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
        return EncodedReply(orjson.dumps(body), reply.version)

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
        explanations = self._teller.explanations
        for version in explanations.versions:
            explanations.of(version)
        return self._teller.completed(self._work.scored(body, caller), self._count)

    async def paced(self, body: bytes, caller: Caller) -> EncodedReply:
        explanations = self._teller.explanations
        # before the row is decided: a refusal leaves nothing behind
        for version in explanations.versions:
            await self._ready(version)
        reply = await self._work.scored_in_turn(body, caller)
        # a row that comes again was decided by another version, perhaps
        await self._ready(reply.version)
        if explanations.is_slow(reply.version):
            return await asyncio.to_thread(self._teller.completed, reply, self._count)
        return self._teller.completed(reply, self._count)

    async def _ready(self, version: str) -> None:
        explanations = self._teller.explanations
        if explanations.is_ready(version):
            explanations.of(version)
        else:
            await asyncio.to_thread(explanations.of, version)


def wanted_reasons(query: bytes, rule: ReasonRule | None) -> int:
    """How many reasons a query string asks for; 0: none.

    Raises:
        Problem: it says no such number, or the route tells none.
    """
    if not query or OPTION.encode() not in query:
        return 0
    said = parse_qs(query.decode("latin-1"), keep_blank_values=True).get(OPTION)
    if said is None:
        return 0
    if rule is None:
        remedy = "leave it out; /predict, one row at a time, returns reasons"
        raise _refused("this address returns no reasons", remedy)
    if said == [""]:
        return rule.default
    number = said[0]
    if len(said) > 1 or not number.isascii() or not number.isdigit() or len(number) > 3:
        raise _refused("it is no number", f"write a whole number from 0 to {MOST_REASONS}")
    if int(number) > MOST_REASONS:
        raise _refused(f"{number} are too many", f"ask for at most {MOST_REASONS}")
    return int(number)


def _refused(problem: str, remedy: str) -> Problem:
    error = FieldProblem(field=OPTION, problem=problem, remedy=remedy)
    return Problem(INVALID_REQUEST, f"{OPTION}: {problem}: {remedy}", errors=[error])


def reasoned_model(model: type[BaseModel]) -> type[BaseModel]:
    """The schema of an answer that may hold reasons."""
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
            Field(None, description=f"{only}: with all contributions it makes the raw score."),
        ),
    }
    made: type[BaseModel] = create_model(model.__name__, __base__=model, **fields_added)
    return made


def documented_option(rule: ReasonRule) -> dict[str, Any]:
    """The option as a parameter of OpenAPI."""
    return {
        "name": OPTION,
        "in": "query",
        "required": False,
        "allowEmptyValue": True,
        "description": f"Tell this many of the largest contributions to the raw score; without a "
        f"number {rule.default}. Exact for the trees of the version that answers.",
        "schema": {"type": "integer", "minimum": 0, "maximum": MOST_REASONS},
    }
