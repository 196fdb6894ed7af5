"""The half of a use case that the scoring service loads: request -> vector -> answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel
from sqlalchemy import Engine

from shared.tasks.labels import LabelWords
from shared.transaction import Label, Transaction

HISTORY_UNAVAILABLE = "HISTORY_UNAVAILABLE"
"""The reason code of a row that was scored without history: it could not be read in time."""

FloatVector = npt.NDArray[np.float32]
FloatMatrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """The features of a use case, in the order every matrix has them.

    Attributes:
        version: changes whenever a definition changes; recorded in bundles and decisions.
        groups: feature name -> group name; FeaturesConfig can switch off either.
        categories: names of the features that are codes of words: equal or not, never near.
        older: earlier version -> how many of the leading names it had, with the same values;
            bundles trained on it are still served, and its vectors still read.
    """

    version: str
    names: tuple[str, ...]
    groups: Mapping[str, str]
    categories: frozenset[str] = frozenset()
    older: Mapping[str, int] = field(default_factory=dict)

    @property
    def versions(self) -> tuple[str, ...]:
        """Versions that can be served, newest first."""
        return (self.version, *self.older)

    def names_of(self, version: str | None) -> tuple[str, ...]:
        """The features of a version of this set; empty where it is unknown."""
        if version == self.version:
            return self.names
        return self.names[: self.older.get(version or "", 0)]


@dataclass(frozen=True, slots=True)
class ServedModel:
    """The facts of the scoring model that an answer may use."""

    version: str
    components: tuple[str, ...]
    thresholds: Mapping[str, float]


@dataclass(slots=True)
class Answer:
    """The answer to the caller, and the journal's record of the decision.

    Not frozen: one is made for every row, and a frozen one takes four times as long to make.

    Attributes:
        body: JSON-ready answer; orjson encodes it.
        score: the headline score, in [0, 1].
        decision: the outcome in the use case's own words (approve, review, block).
    """

    body: dict[str, Any]
    score: float
    decision: str
    matched_rules: Sequence[str] = ()
    reason_codes: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class TaskPrediction:
    """A model's judgement of a row before any rule, by which two models are compared.

    Attributes:
        score: the headline score, in [0, 1].
        is_alert: whether its own thresholds give the row a decision other than approval.
    """

    score: float
    is_alert: bool


MOST_REASONS = 20
"""The most reasons that one answer may hold."""


@dataclass(frozen=True, slots=True)
class ReasonRule:
    """The rule for reasons in a route's answers, where the model has trees.

    Attributes:
        default: how many are told where the caller does not say how many.
        names: feature -> what callers call it; contributions of one name are added.
        value: a row's value of a name, as the caller wrote it, from the row, the name, and the
            number in the vector.
        target: which raw score of the model an answer rests on, 0 where there is one.
    """

    default: int
    names: Mapping[str, str]
    value: Callable[[Transaction, str, float | None], Any]
    target: Callable[[FloatVector, ServedModel], int]


@dataclass(frozen=True, slots=True)
class WindowBounds:
    """Limits of recent history in a worker's memory: users, and rows of all of them."""

    users: int
    rows: int


DEFAULT_BOUNDS = WindowBounds(users=3_000, rows=1_500_000)
"""At most 144 MB; users of sixty rows a month take 10 KB each, and busy ones 250 KB."""


class Reservation:
    """Rows that later rows see, for as long as they are being decided: rolled back or committed.

    Attributes:
        matrix: their features, (rows, features), float32.
    """

    __slots__ = ("_forget", "_transactions", "matrix")

    def __init__(
        self,
        matrix: FloatMatrix,
        transactions: Sequence[Transaction],
        forget: Callable[[Sequence[str]], None],
    ) -> None:
        """`forget` takes the ids of rows that are not to be seen any more."""
        self.matrix = matrix
        self._transactions = transactions
        self._forget = forget

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.roll_back()

    def commit(self, without: Sequence[str] = ()) -> None:
        """Keep the rows visible, but for those of these ids."""
        self._transactions = ()
        if without:
            self._forget(without)

    def roll_back(self) -> None:
        """Make the rows invisible again, unless they were committed."""
        rows, self._transactions = self._transactions, ()
        if rows:
            self._forget([row.transaction_id for row in rows])


class FeatureSource(Protocol):
    """Turns a transaction into its feature vector from what is known at its ingestion."""

    def vector(self, transaction: Transaction) -> FloatVector:
        """All features of the set, shape (len(names),), float32."""
        ...

    def reserve(self, transactions: Sequence[Transaction]) -> "Reservation":
        """Features of rows in the order they came in, each visible to all rows after it.

        They stay visible once the reservation is committed. An error here leaves none visible.
        """
        ...

    def remember(self, transaction: Transaction) -> None:
        """Make a scored row visible to later rows before the database has it."""
        ...

    def forget(self, transaction_ids: Sequence[str]) -> None:
        """The database has these rows now; drop the copies in memory."""
        ...

    def learned(self, labels: Sequence[Label]) -> None:
        """Labels have been stored; drop whatever was cached about their entities."""
        ...


class Responder(Protocol):
    """Makes the answer of one route out of a scored transaction; pure."""

    def __call__(
        self,
        transaction: Transaction,
        vector: FloatVector,
        scores: FloatVector,
        model: ServedModel,
    ) -> Answer: ...


@dataclass(frozen=True, slots=True)
class ScoringRoute:
    """One POST route that scores one row.

    Attributes:
        examples: name -> request body that works as it stands; shown in /docs.
        batch_path: also serve {"instances": [...]} here, when given.
        reasons: how `?reasons=N` is answered; None: it is refused.
    """

    path: str
    summary: str
    response_model: type[BaseModel]
    respond: Responder
    examples: Mapping[str, dict[str, Any]]
    batch_path: str | None = None
    reasons: ReasonRule | None = None


class ServingUseCase(Protocol):
    """Everything the scoring service needs to know about the use case."""

    @property
    def name(self) -> str: ...

    @property
    def schema_version(self) -> int:
        """The MAJOR of bundle versions this request schema accepts."""
        ...

    @property
    def request_model(self) -> type[BaseModel]: ...

    @property
    def feature_set(self) -> FeatureSet: ...

    @property
    def label_words(self) -> LabelWords:
        """Words for its labels besides 0 and 1; /feedback and imports accept them."""
        ...

    @property
    def decisions(self) -> Sequence[str]:
        """Every decision that it makes, from mild to severe; empty where they are too many."""
        ...

    @property
    def routes(self) -> Sequence[ScoringRoute]: ...

    @property
    def prediction(self) -> Callable[[FloatVector, ServedModel], TaskPrediction]:
        """A function at the top of its module: another process imports it by name."""
        ...

    def to_transaction(self, request: BaseModel, now_us: int) -> Transaction:
        """Fill in the declared defaults.

        Raises:
            ValueError: the request is well-typed but makes no sense (names the field).
        """
        ...

    def feature_source(
        self, engine: Engine, bounds: WindowBounds = DEFAULT_BOUNDS
    ) -> FeatureSource: ...

    def warm_up(self) -> None:
        """Compile what is compiled, so that no request waits for it; called before serving."""
        ...
