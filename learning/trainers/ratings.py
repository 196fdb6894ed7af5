"""Ratings of items: how they are standardised, and the two baselines of every ranking.

Both are trained beside every candidate, whatever its recipe: the entity's own ratings, which use no
other entity, and a ridge regression, which captures every linear relation. A model that does not
beat both is not justified, and the metrics gate refuses it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from learning.export.graph import INPUT, Builder, to_onnx
from learning.trainers.request import Floats, TrainingRequest
from shared.usecase.serving import FloatMatrix

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Standardiser:
    """Ratings in units of their own spread; an unknown one is an average one."""

    mean: Floats
    scale: Floats

    @classmethod
    def fit(cls, ratings: npt.NDArray[Any]) -> "Standardiser":
        """Column by column; a column without ratings, or with equal ones, keeps its unit."""
        known = ~np.isnan(ratings)
        count = np.maximum(known.sum(axis=0), 1)
        values = np.where(known, ratings, 0.0).astype(np.float64)
        mean = values.sum(axis=0) / count
        spread = np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(axis=0) / count)
        return cls(mean, np.where(spread > 1e-6, spread, 1.0))

    def apply(self, ratings: npt.NDArray[Any]) -> Floats:
        scaled = (ratings - self.mean) / self.scale
        return np.asarray(np.where(np.isnan(scaled), 0.0, scaled), dtype=np.float64)

    def undo(self, scaled: npt.NDArray[Any]) -> Floats:
        return np.asarray(scaled * self.scale + self.mean, dtype=np.float64)

    def export(self, builder: Builder, ratings: str, name: str) -> str:
        """A tensor of ratings, standardised."""
        mean = builder.constant(f"{name}_mean", self.mean)
        scale = builder.constant(f"{name}_scale", self.scale)
        zero = builder.constant(f"{name}_zero", 0.0)
        centred = builder.add("Sub", [ratings, mean], f"{name}_centred")
        scaled = builder.add("Div", [centred, scale], f"{name}_scaled")
        unknown = builder.add("IsNaN", [scaled], f"{name}_unknown")
        return builder.add("Where", [unknown, zero, scaled], f"{name}_known")

    def export_undo(self, builder: Builder, scaled: str, name: str) -> str:
        mean = builder.constant(f"{name}_mean", self.mean)
        scale = builder.constant(f"{name}_scale", self.scale)
        spread = builder.add("Mul", [scaled, scale], f"{name}_spread")
        return builder.add("Add", [spread, mean], f"{name}_rated")


@dataclass(frozen=True, slots=True)
class OwnVector:
    """The entity's own ratings; where it has none, what is usually rated next.

    Attributes:
        places: the column with an item's ratings so far; -1: there is none.
        usual: the mean of each item's labels.
    """

    places: Places
    usual: Floats

    def predict(self, matrix: FloatMatrix) -> Floats:
        rated = np.where(self.places < 0, np.nan, matrix[:, self.places]).astype(np.float64)
        return np.where(np.isnan(rated), self.usual, rated)

    def export(self, builder: Builder) -> str:
        usual = builder.constant("own_usual", self.usual)
        absent = builder.constant("own_absent", self.places < 0, np.bool_)
        rated = export_columns(builder, np.maximum(self.places, 0), "own_rated")
        missing = builder.add("IsNaN", [rated], "own_missing")
        unknown = builder.add("Or", [missing, absent], "own_unknown")
        return builder.add("Where", [unknown, usual, rated], "own_vector")


@dataclass(frozen=True, slots=True)
class Ridge:
    """Every next rating as a weighted sum of the numbers of the row."""

    places: Places
    inputs: Standardiser
    outputs: Standardiser
    weights: Floats

    def predict(self, matrix: FloatMatrix) -> Floats:
        return self.outputs.undo(self.inputs.apply(matrix[:, self.places]) @ self.weights)

    def export(self, builder: Builder) -> str:
        numbers = export_columns(builder, self.places, "ridge_numbers")
        rows = self.inputs.export(builder, numbers, "ridge_ratings")
        weights = builder.constant("ridge_weights", self.weights)
        scaled = builder.add("MatMul", [rows, weights], "ridge_scaled")
        return self.outputs.export_undo(builder, scaled, "ridge_items")


def baselines_of(request: TrainingRequest) -> Mapping[str, OwnVector | Ridge]:
    """Both baselines, fitted on all rows of a ranking."""
    names = request.names
    places = [names.index(item) if item in names else -1 for item in request.item_columns]
    usual = Standardiser.fit(request.labels).mean
    return {
        "own_vector": OwnVector(np.array(places, dtype=np.int64), usual),
        "ridge": fit_ridge(request.matrix, request.labels, request.numbers),
    }


def baseline_graphs(request: TrainingRequest) -> Mapping[str, bytes]:
    """The baselines as graphs, by name."""
    width = request.task.width
    return {
        name: to_onnx([baseline], len(request.columns), width)
        for name, baseline in baselines_of(request).items()
    }


def fit_ridge(
    matrix: FloatMatrix, labels: npt.NDArray[Any], places: Places, strength: float = 1.0
) -> Ridge:
    """Each item on the rows whose next rating is known."""
    matrix = matrix[:, places]
    inputs, outputs = Standardiser.fit(matrix), Standardiser.fit(labels)
    known = ~np.isnan(labels)
    ratings, wanted = inputs.apply(matrix), outputs.apply(labels)
    weights = np.zeros((matrix.shape[1], labels.shape[1]))
    penalty = strength * np.eye(matrix.shape[1])
    for item in range(labels.shape[1]):
        rows = ratings[known[:, item]]
        weights[:, item] = np.linalg.solve(
            rows.T @ rows + penalty, rows.T @ wanted[known[:, item], item]
        )
    return Ridge(places, inputs, outputs, weights)


def export_columns(builder: Builder, places: Places, name: str) -> str:
    """Some columns of `features`."""
    chosen = builder.constant(f"{name}_at", places, np.int64)
    return builder.add("Gather", [INPUT, chosen], name, axis=1)
