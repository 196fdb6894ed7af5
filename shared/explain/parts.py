"""The parts of a served graph that can be explained exactly, and the components that cannot.

A graph may blend several tree ensembles, and hold components that are not trees at all. Each
ensemble that knows how many training rows came to its nodes is one part; what it adds to its
component's score is known, so the share that remains unexplained is known as well. Made for one
row at a time: nothing is precomputed, so that large forests cost no memory.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shared.bundle.graph import model_class
from shared.explain.ensemble import (
    ENSEMBLE,
    Ensemble,
    Floats,
    NotExplainable,
    ensemble_of,
    has_covers,
    read_ensemble,
    refuse_made_up_covers,
)
from shared.explain.one_row import (
    add_contributions,
    exits,
    expected_values,
    refuse_strange_places,
)
from shared.usecase.serving import FloatVector

LOG_ODDS, LOGARITHM, LOG2, VALUE = "log_odds", "logarithm", "log2", "value"
"""Scales of raw scores: before a sigmoid or softmax, an exponential, a power of 2; as it is."""

_LINKS = {b"Sigmoid": LOG_ODDS, b"Softmax": LOG_ODDS, b"Exp": LOGARITHM}
_UNDONE: Mapping[str, Callable[[float], float]] = {
    LOG_ODDS: lambda raw: 1.0 / (1.0 + math.exp(-max(min(raw, 700.0), -700.0))),
    LOGARITHM: lambda raw: math.exp(min(raw, 700.0)),
    LOG2: lambda raw: 2.0 ** min(raw, 1_000.0),
    VALUE: float,
}


def undone(scale: str, raw: float) -> float:
    """A raw score of this scale as the score it stands for."""
    return _UNDONE[scale](raw)


class WordColumns(NamedTuple):
    """Columns that the graph appends to the features: places of words in a vocabulary."""

    columns: tuple[int, ...]
    places: Mapping[float, float]
    unknown: float

    def widened(self, row: FloatVector) -> FloatVector:
        found = [self.places.get(float(row[column]), self.unknown) for column in self.columns]
        return np.concatenate([row, np.array(found, dtype=np.float32)])


@dataclass(frozen=True, slots=True)
class EnsemblePart:
    """One tree ensemble.

    Attributes:
        name: of the tensor with its raw scores.
        components: whose scores it has a part in.
        weight: its share in the component's score; None: the score is not a weighted sum.
        names: of its inputs; two may be called the same.
    """

    name: str
    components: tuple[str, ...]
    scale: str
    weight: float | None
    ensemble: Ensemble
    names: tuple[str, ...]
    words: WordColumns | None = None
    _exits: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]] = field(init=False)
    _expected: Floats = field(init=False)

    def __post_init__(self) -> None:
        refuse_strange_places(self.ensemble, len(self.names))
        object.__setattr__(self, "_exits", exits(self.ensemble.nodes))
        object.__setattr__(self, "_expected", expected_values(self.ensemble))

    def explained(self, row: FloatVector, target: int = 0) -> "PartOfScore":
        """The contributions to one raw score, those of one name added."""
        wide = row if self.words is None else self.words.widened(row)
        wide = np.ascontiguousarray(wide, dtype=np.float32)
        found = np.zeros(len(wide))
        trees = np.flatnonzero(self.ensemble.target == target)
        add_contributions(self.ensemble, self._exits, trees, wide, found)
        sums: dict[str, float] = {}
        for name, contribution in zip(self.names, found.tolist(), strict=True):
            sums[name] = sums.get(name, 0.0) + contribution
        raw = float(self._expected[target]) + float(found.sum())
        adds = None if self.weight is None else self.weight * _UNDONE[self.scale](raw)
        return PartOfScore(self, float(self._expected[target]), raw, adds, sums)


@dataclass(frozen=True, slots=True)
class PartOfScore:
    """The share of one part in one row's score: `expected` and all contributions make `raw`.

    Attributes:
        adds: what the part adds to its component's score; None where that is not a sum.
    """

    part: EnsemblePart
    expected: float
    raw: float
    adds: float | None
    contributions: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ScoreParts:
    """All parts of a graph.

    Attributes:
        unexplained: component -> why not all of its score can be explained.
    """

    parts: tuple[EnsemblePart, ...]
    unexplained: Mapping[str, str]


def read_parts(graph: bytes, names: Sequence[str], components: Sequence[str]) -> ScoreParts:
    """The parts of a served graph, whose features and scores have these names in order."""
    try:
        whole = read_ensemble(graph)
    except NotExplainable:
        return _Reader(graph, names, components).read()
    scale = _scale_of(model_class().FromString(graph).graph.node)
    refuse_made_up_covers(whole.nodes)
    part = EnsemblePart(_text(whole.output), tuple(components), scale, None, whole, tuple(names))
    return ScoreParts((part,), {})


def _scale_of(nodes: Any) -> str:
    return next((_LINKS[node.op_type] for node in nodes if node.op_type in _LINKS), VALUE)


class _Unreadable(ValueError):
    """Something between the trees and the score that is not a weighted sum."""


class _Reader:
    """Walks from each component's score back to the ensembles it is made of."""

    def __init__(self, graph: bytes, names: Sequence[str], components: Sequence[str]) -> None:
        model = model_class().FromString(graph)
        self._maker = {output: node for node in model.graph.node for output in node.output}
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._input, self._output = model.graph.input[0].name, model.graph.output[0].name
        self._names, self._components = tuple(names), tuple(components)

    def read(self) -> ScoreParts:
        parts: list[EnsemblePart] = []
        unexplained: dict[str, str] = {}
        for component, tensor in self._roots(unexplained):
            try:
                parts += self._walk(component, tensor, 1.0, VALUE, unexplained)
            except (_Unreadable, NotExplainable) as error:
                unexplained[component] = str(error)
        return ScoreParts(tuple(parts), unexplained)

    def _roots(self, unexplained: dict[str, str]) -> Iterator[tuple[str, bytes]]:
        """Each component with the tensor of its score."""
        last = self._maker.get(self._output)
        if last is not None and last.op_type == b"Identity" and len(self._components) == 1:
            yield self._components[0], last.input[0]
        elif (
            last is not None
            and last.op_type == b"Concat"
            and len(last.input) == len(self._components)
        ):
            yield from zip(self._components, last.input, strict=True)
        else:
            why = "its score does not come from one tree ensemble"
            unexplained |= dict.fromkeys(self._components, why)

    def _walk(
        self, component: str, tensor: bytes, weight: float, scale: str, missing: dict[str, str]
    ) -> list[EnsemblePart]:
        node: Any = self._maker.get(tensor)
        operator = b"" if node is None else node.op_type
        if operator == ENSEMBLE:
            if not has_covers(node):
                missing[component] = "its trees do not store how many rows came to each node"
                return []
            return [self._part(component, node, weight, scale)]
        if scale == VALUE and operator == b"Add":
            return [part for side in node.input
                    for part in self._walk(component, side, weight, scale, missing)]  # fmt: skip
        if scale == VALUE and operator == b"Mul":
            inner, factor = self._scaled(node)
            return self._walk(component, inner, weight * factor, scale, missing)
        if scale == VALUE and operator in (b"Sigmoid", b"Exp"):
            return self._walk(component, node.input[0], weight, _LINKS[operator], missing)
        if scale == VALUE and operator == b"Pow":
            return self._walk(component, self._exponent(node), weight, LOG2, missing)
        if operator == b"Identity":
            return self._walk(component, node.input[0], weight, scale, missing)
        raise _Unreadable("it is not made of trees")

    def _scaled(self, node: Any) -> tuple[bytes, float]:
        """The tensor that is multiplied, and by which constant."""
        for inner, constant in (tuple(node.input), tuple(reversed(node.input))):
            numbers = self._numbers(constant)
            if numbers is not None and numbers.size == 1:
                return inner, float(numbers.reshape(-1)[0])
        raise _Unreadable("it multiplies two scores")

    def _exponent(self, node: Any) -> bytes:
        """The tensor that 2 is raised to."""
        base, exponent = node.input
        numbers = self._numbers(base)
        if numbers is None or numbers.size != 1 or float(numbers.reshape(-1)[0]) != 2.0:
            raise _Unreadable("it is a power of something else than 2")
        return bytes(exponent)

    def _part(self, component: str, node: Any, weight: float, scale: str) -> EnsemblePart:
        ensemble = ensemble_of(node)
        refuse_made_up_covers(ensemble.nodes)
        words = self._words(node.input[0])
        extra = () if words is None else tuple(self._names[column] for column in words.columns)
        return EnsemblePart(
            _text(ensemble.output),
            (component,),
            scale,
            weight,
            ensemble,
            (*self._names, *extra),
            words,
        )

    def _words(self, tensor: bytes) -> WordColumns | None:
        """None where the trees read the features as they are."""
        if tensor == self._input:
            return None
        joined = self._maker.get(tensor)
        if joined is None or joined.op_type != b"Concat" or joined.input[0] != self._input:
            raise NotExplainable("its trees read something else than the features")
        encoder = self._maker.get(joined.input[1])
        if encoder is None or encoder.op_type != b"LabelEncoder":
            raise NotExplainable("its trees read something else than the features")
        gathered = self._maker[encoder.input[0]]
        columns = self._numbers(gathered.input[1])
        if gathered.input[0] != self._input or columns is None:
            raise NotExplainable("its trees read something else than the features")
        said = {item.name: item for item in encoder.attribute}
        keys, places = said[b"keys_floats"].floats, said[b"values_floats"].floats
        known = dict(zip(map(float, keys), map(float, places), strict=True))
        unknown = float(said[b"default_float"].f)
        return WordColumns(tuple(map(int, columns.reshape(-1))), known, unknown)

    def _numbers(self, name: bytes) -> npt.NDArray[Any] | None:
        tensor = self._constants.get(name)
        if tensor is None:
            return None
        kinds: Mapping[int, tuple[str, Any]] = {
            1: ("<f4", tensor.float_data),
            7: ("<i8", tensor.int64_data),
        }
        if tensor.data_type not in kinds:
            return None
        dtype, listed = kinds[tensor.data_type]
        if tensor.raw_data:
            return np.frombuffer(tensor.raw_data, dtype=dtype)
        return np.array(list(listed), dtype=dtype)


def _text(name: bytes) -> str:
    return name.decode(errors="replace")
