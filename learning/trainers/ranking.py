"""Ranking: a denoising autoencoder over vectors of ratings, and the baselines it has to beat.

A row is what an entity has rated so far, unknown ratings missing; its label is what it rates
next. The network learns to predict the next ratings from a corrupted version of the row (ratings
dropped, noise added), so that it fills in what is unknown instead of copying what is known.

Two baselines are trained beside it every time: the entity's vector, which uses no other entity, and
a ridge regression, which captures every linear relation. A network that does not beat both is not
justified.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from learning.export.graph import INPUT, Builder, to_onnx
from learning.export.trees import Target
from learning.trainers.network import export_layers, layers, run_layers
from learning.trainers.request import Floats, Recipe, TrainingRequest
from shared.errors import TrainingFailed
from shared.tasks import Task, TaskKind
from shared.usecase.serving import FloatMatrix

NAME = "denoising_autoencoder"


@dataclass(frozen=True, slots=True)
class AutoencoderSettings:
    """Every number of the recipe.

    Attributes:
        dropped: share of the known ratings that is hidden from the network in training.
        noise: added to the standardised ratings in training.
    """

    outer: int = 16
    inner: int = 8
    steps: int = 1_500
    batch_rows: int = 256
    learning_rate: float = 0.005
    weight_decay: float = 1e-4
    dropped: float = 0.15
    noise: float = 0.1

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> "AutoencoderSettings":
        """Raises TrainingFailed when a setting is unknown."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(settings) - set(known))
        if unknown:
            raise TrainingFailed(f"{NAME} has no setting {unknown[0]!r}; it has {', '.join(known)}")
        return cls(**settings)


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

    def export(self, builder: Builder, name: str) -> str:
        """`features`, standardised."""
        mean = builder.constant(f"{name}_mean", self.mean)
        scale = builder.constant(f"{name}_scale", self.scale)
        zero = builder.constant(f"{name}_zero", 0.0)
        centred = builder.add("Sub", [INPUT, mean], f"{name}_centred")
        scaled = builder.add("Div", [centred, scale], f"{name}_scaled")
        unknown = builder.add("IsNaN", [scaled], f"{name}_unknown")
        return builder.add("Where", [unknown, zero, scaled], f"{name}_known")

    def export_undo(self, builder: Builder, scaled: str, name: str) -> str:
        mean = builder.constant(f"{name}_mean", self.mean)
        scale = builder.constant(f"{name}_scale", self.scale)
        spread = builder.add("Mul", [scaled, scale], f"{name}_spread")
        return builder.add("Add", [spread, mean], f"{name}_rated")


@dataclass(frozen=True, slots=True)
class RankingAutoencoder:
    """A fitted network; `predict` is torch's own arithmetic."""

    network: nn.Sequential
    inputs: Standardiser
    outputs: Standardiser
    baselines: Mapping[str, "OwnVector | Ridge"]
    hyperparameters: Mapping[str, Any]

    def predict(self, matrix: FloatMatrix) -> Floats:
        return self.outputs.undo(run_layers(self.network, self.inputs.apply(matrix)))

    def targets(self) -> tuple[Target, ...]:
        return ()

    def export(self, builder: Builder) -> str:
        rows = self.inputs.export(builder, "ratings")
        scaled = export_layers(builder, self.network, rows, "autoencoder")
        return self.outputs.export_undo(builder, scaled, "items")

    def baseline_graphs(self, feature_count: int, task: Task) -> Mapping[str, bytes]:
        """The baselines as separate graphs."""
        return {
            name: to_onnx([baseline], feature_count, task.width)
            for name, baseline in self.baselines.items()
        }


@dataclass(frozen=True, slots=True)
class OwnVector:
    """The entity's own ratings; where it has none, what others usually rate next."""

    inputs: Standardiser
    usual: Floats

    def predict(self, matrix: FloatMatrix) -> Floats:
        return np.where(np.isnan(matrix), self.usual, matrix).astype(np.float64)

    def export(self, builder: Builder) -> str:
        usual = builder.constant("own_usual", self.usual)
        unknown = builder.add("IsNaN", [INPUT], "own_unknown")
        return builder.add("Where", [unknown, usual, INPUT], "own_vector")


@dataclass(frozen=True, slots=True)
class Ridge:
    """Every next rating as a weighted sum of the ratings so far."""

    inputs: Standardiser
    outputs: Standardiser
    weights: Floats

    def predict(self, matrix: FloatMatrix) -> Floats:
        return self.outputs.undo(self.inputs.apply(matrix) @ self.weights)

    def export(self, builder: Builder) -> str:
        rows = self.inputs.export(builder, "ridge_ratings")
        weights = builder.constant("ridge_weights", self.weights)
        scaled = builder.add("MatMul", [rows, weights], "ridge_scaled")
        return self.outputs.export_undo(builder, scaled, "ridge_items")


def fit_ranking(
    request: TrainingRequest, recipe: Recipe, rows: slice | npt.NDArray[np.int64]
) -> RankingAutoencoder:
    """Fit the network and its baselines on some of the rows.

    Raises:
        TrainingFailed: another task, other columns than items, or no finite loss.
    """
    if request.task.kind is not TaskKind.RANKING:
        raise TrainingFailed(f"{NAME} ranks; a {request.task.kind} needs gradient_boosting")
    if len(request.columns) != request.task.width:
        raise TrainingFailed(
            f"{NAME}: {len(request.columns)} columns where {request.task.width} items are rated"
        )
    settings = AutoencoderSettings.parse(recipe.settings)
    matrix, labels = request.matrix[rows], request.labels[rows]
    inputs, outputs = Standardiser.fit(matrix), Standardiser.fit(labels)
    width = request.task.width
    sizes = (width, settings.outer, settings.inner, settings.outer, width)
    network = layers(sizes, request.seed)
    _descend(network, inputs.apply(matrix), (labels - outputs.mean) / outputs.scale, settings)
    baselines: dict[str, OwnVector | Ridge] = {
        "own_vector": OwnVector(inputs, outputs.mean),
        "ridge": fit_ridge(matrix, labels),
    }
    return RankingAutoencoder(network, inputs, outputs, baselines, asdict(settings))


def fit_ridge(matrix: FloatMatrix, labels: npt.NDArray[Any], strength: float = 1.0) -> Ridge:
    """Each item on the rows whose next rating is known."""
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
    return Ridge(inputs, outputs, weights)


def _descend(
    network: nn.Sequential, rows: Floats, labels: Floats, settings: AutoencoderSettings
) -> None:
    # Such small products gain nothing from a second thread, and lose much on a busy machine.
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(len(rows))
    known = torch.from_numpy(~np.isnan(labels)).float()
    wanted = torch.from_numpy(np.nan_to_num(labels)).float()
    given = torch.from_numpy(rows).float()
    optimiser = torch.optim.Adam(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
    for _ in range(settings.steps):
        chosen = torch.randint(len(rows), (settings.batch_rows,), generator=generator)
        batch = given[chosen]
        kept = torch.rand(batch.shape, generator=generator) >= settings.dropped
        noise = settings.noise * torch.randn(batch.shape, generator=generator)
        answered = network(batch * kept + noise)
        loss = (known[chosen] * (answered - wanted[chosen]) ** 2).sum() / known[chosen].sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    if not torch.isfinite(loss):
        raise TrainingFailed(f"{NAME}: the loss is not finite; are the ratings?")
