"""Explanations of past decisions: the parts of each version's graph, read when it is asked for.

It is done on the threads of reading routes and, where it computes, without the interpreter lock.
Two versions are kept, as most questions are about the live one and its predecessor.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from api.models.model_loader import ModelLoader
from shared.contracts.decisions import Contribution, ExplainedPart, Explanation
from shared.errors import UnderstudyError
from shared.explain import NotExplainable, PartOfScore, ScoreParts, read_parts
from shared.scoring.session import GRAPH
from shared.usecase.serving import FloatVector, ReasonRule, ServedModel

_MOST_KEPT = 2


@dataclass(frozen=True, slots=True)
class DecidedRow:
    """A stored decision that is to be explained.

    Attributes:
        features: name -> number, as served.
        scores: component -> score.
    """

    row: Any
    model: ServedModel
    features: Mapping[str, float]
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Readable:
    parts: ScoreParts
    names: tuple[str, ...]


class DecisionExplainer:
    """Explains decided rows; safe to be used by threads."""

    def __init__(self, loader: ModelLoader, rule: ReasonRule | None) -> None:
        """`rule` says how callers name features, where the use case has one."""
        self._loader = loader
        self._rule = rule
        self._kept: dict[str, _Readable | str] = {}
        self._lock = threading.Lock()

    def explained(self, decided: DecidedRow) -> Explanation:
        """The explanation of a decision, or the reason this version cannot be explained."""
        version = decided.model.version
        found = self._of(version)
        if isinstance(found, str):
            return _nothing(version, found)
        try:
            vector = np.array([decided.features[name] for name in found.names], dtype=np.float32)
        except KeyError as error:
            return _nothing(version, f"the row has no feature {error.args[0]}")
        target = self._target(decided)
        try:
            told = [part.explained(vector, target) for part in found.parts.parts]
        except NotExplainable as error:
            return _nothing(version, str(error))
        return Explanation(
            version=version,
            parts=[self._shown(one, decided) for one in told],
            explained_share=_shares(told, decided.scores),
            not_explained=dict(found.parts.unexplained),
        )

    def _of(self, version: str) -> _Readable | str:
        found = self._kept.get(version)
        if found is None:
            # one thread at a time: parsing a large graph is slow
            with self._lock:
                found = self._kept.get(version) or self._read(version)
                while len(self._kept) >= _MOST_KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[version] = found
        return found

    def _read(self, version: str) -> _Readable | str:
        try:
            bundle = self._loader.bundle(version)
            names, components = bundle.manifest.feature_names, bundle.manifest.components
            graph = bundle.files.get(GRAPH)
            if graph is None:
                return "it is not an ONNX graph"
            return _Readable(read_parts(graph, names, components), tuple(names))
        except (NotExplainable, KeyError, IndexError, TypeError) as error:
            return f"its graph cannot be read as trees ({error})"
        except (UnderstudyError, OSError) as error:
            return f"its bundle cannot be read any more ({error})"

    def _target(self, decided: DecidedRow) -> int:
        if self._rule is None:
            return 0
        scores: FloatVector = np.array(list(decided.scores.values()), dtype=np.float32)
        return self._rule.target(scores, decided.model)

    def _shown(self, told: PartOfScore, decided: DecidedRow) -> ExplainedPart:
        sums: dict[str, float] = {}
        numbers: dict[str, float | None] = {}
        for feature, contribution in told.contributions.items():
            name = feature if self._rule is None else self._rule.names.get(feature, feature)
            sums[name] = sums.get(name, 0.0) + contribution
            numbers.setdefault(name, finite(decided.features.get(feature)))
        value = self._value(decided, numbers)
        return ExplainedPart(
            name=told.part.name,
            components=list(told.part.components),
            scale=told.part.scale,
            expected_raw=told.expected,
            raw=told.raw,
            adds=told.adds,
            contributions=[
                Contribution(feature=name, value=value(name), contribution=sums[name])
                for name in sorted(sums, key=lambda name: -abs(sums[name]))
                if sums[name] != 0.0
            ],
        )

    def _value(
        self, decided: DecidedRow, numbers: Mapping[str, float | None]
    ) -> Callable[[str], Any]:
        rule = self._rule
        if rule is None:
            return numbers.__getitem__
        return lambda name: rule.value(decided.row, name, numbers[name])


def _nothing(version: str, why: str) -> Explanation:
    return Explanation(
        version=version, parts=[], explained_share={}, not_explained={"version": why}
    )


def _shares(told: Sequence[PartOfScore], scores: Mapping[str, float]) -> dict[str, float]:
    """Component -> how much of its score the parts make; 1 where one part is all of it."""
    shares = dict.fromkeys(scores, 0.0)
    for one in told:
        for component in one.part.components:
            score = scores.get(component)
            if score is None:
                continue
            whole = one.adds is None or score == 0
            share = 1.0 if whole else (one.adds or 0.0) / score
            shares[component] = min(1.0, shares[component] + share)
    # scores are float32: a share within rounding error of 1 is 1
    return {name: 1.0 if share > 1 - 1e-4 else share for name, share in shares.items()}


def finite(number: float | None) -> float | None:
    """A number for JSON; None: it is missing, or none."""
    return number if number is not None and np.isfinite(number) else None
