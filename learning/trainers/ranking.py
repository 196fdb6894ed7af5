"""Ranking: a denoising autoencoder over vectors of ratings, and small torch networks as ONNX nodes.

A row is what an entity has rated so far, unknown ratings missing; its label is what it rates
next. The network learns to predict the next ratings from a corrupted version of the row (ratings
dropped, noise added), so that it fills in what is unknown instead of copying what is known.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from learning.export.graph import Builder
from learning.export.trees import SummedTrees
from learning.trainers.ratings import Places, Standardiser, export_columns
from learning.trainers.request import Floats, Recipe, TrainingRequest
from shared.errors import TrainingFailed
from shared.tasks import TaskKind
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
class RankingAutoencoder:
    """A fitted network; `predict` is torch's own arithmetic."""

    network: nn.Sequential
    inputs: Standardiser
    outputs: Standardiser
    places: Places
    hyperparameters: Mapping[str, Any]

    def predict(self, matrix: FloatMatrix) -> Floats:
        return self.outputs.undo(
            run_layers(self.network, self.inputs.apply(matrix[:, self.places]))
        )

    def targets(self) -> tuple[SummedTrees, ...]:
        return ()

    def export(self, builder: Builder) -> str:
        numbers = export_columns(builder, self.places, "numbers")
        rows = self.inputs.export(builder, numbers, "ratings")
        scaled = export_layers(builder, self.network, rows, "autoencoder")
        return self.outputs.export_undo(builder, scaled, "items")


def fit_ranking(
    request: TrainingRequest, recipe: Recipe, rows: slice | npt.NDArray[np.int64]
) -> RankingAutoencoder:
    """Fit the network on some of the rows.

    Raises:
        TrainingFailed: another task, a category among the columns, or no finite loss.
    """
    if request.task.kind is not TaskKind.RANKING:
        raise TrainingFailed(f"{NAME} ranks; a {request.task.kind} needs gradient_boosting")
    if request.categories:
        name = request.names[request.categories[0]]
        raise TrainingFailed(
            f"{NAME} reads numbers and flags, and {name} is a category: remove it from [columns], "
            "or write a model of your own"
        )
    settings = AutoencoderSettings.parse(recipe.settings)
    places = request.numbers
    matrix, labels = request.matrix[rows][:, places], request.labels[rows]
    inputs, outputs = Standardiser.fit(matrix), Standardiser.fit(labels)
    sizes = (len(places), settings.outer, settings.inner, settings.outer, request.task.width)
    network = layers(sizes, request.seed)
    _descend(network, inputs.apply(matrix), (labels - outputs.mean) / outputs.scale, settings)
    return RankingAutoencoder(network, inputs, outputs, places, asdict(settings))


def _descend(
    network: nn.Sequential, rows: Floats, labels: Floats, settings: AutoencoderSettings
) -> None:
    # Such small matrix products gain nothing from a second thread, and lose much on a busy machine.
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


def layers(sizes: tuple[int, ...], seed: int) -> nn.Sequential:
    """Linear layers of these sizes with rectifiers between them, initialised by the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made: list[nn.Module] = []
        for before, after in pairwise(sizes):
            made += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*made[:-1])


def export_layers(builder: Builder, network: nn.Sequential, inputs: str, name: str) -> str:
    """Append the network; returns the name of its output."""
    tensor = inputs
    for position, layer in enumerate(network):
        output = f"{name}_{position}"
        if isinstance(layer, nn.Linear):
            weight = builder.constant(f"{output}_w", layer.weight.detach().numpy())
            bias = builder.constant(f"{output}_b", layer.bias.detach().numpy())
            tensor = builder.add("Gemm", [tensor, weight, bias], output, transB=1)
        else:
            tensor = builder.add("Relu", [tensor], output)
    return tensor


def run_layers(network: nn.Sequential, rows: np.ndarray) -> np.ndarray:
    """The network's output in torch's own arithmetic."""
    with torch.no_grad():
        answered: np.ndarray = network(torch.from_numpy(rows.astype(np.float32))).numpy()
    return answered
