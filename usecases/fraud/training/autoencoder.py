"""The autoencoder on its own standardised features: narrow torch networks, exported by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import scipy.linalg
import torch

from learning.export.graph import INPUT, Builder
from learning.export.trees import Ints
from shared.errors import TrainingFailed
from shared.usecase.serving import FloatMatrix, FloatVector
from usecases.fraud.training.recipe import AutoencoderRecipe

_NAME = "autoencoder"


@dataclass(frozen=True, slots=True)
class Autoencoder:
    """Score: mean squared error of rebuilding the standardised row; higher is more unusual.

    The mean is over several networks: what one of them ranks high depends on where it began.
    """

    networks: "Networks"
    columns: Ints
    fill: FloatVector
    mean: FloatVector
    inverse_deviation: FloatVector
    clip_sigmas: float

    def standardise(self, matrix: FloatMatrix) -> torch.Tensor:
        subset = matrix[:, self.columns]
        filled = np.where(np.isnan(subset), self.fill, subset)
        scaled = (filled - self.mean) * self.inverse_deviation
        return torch.from_numpy(np.clip(scaled, -self.clip_sigmas, self.clip_sigmas))

    def score(self, matrix: FloatMatrix) -> npt.NDArray[np.float64]:
        with torch.no_grad():
            rows = self.standardise(matrix)
            error = torch.mean((self.networks(rows) - rows) ** 2, dim=(0, 2))
        return error.numpy().astype(np.float64)

    def export(self, builder: Builder) -> str:
        """All networks side by side: a row is repeated for each, and weights are blocks."""
        rows = self._export_standardise(builder)
        rebuilt = rows
        layers = self.networks.layers
        for position, (weight, bias) in enumerate(layers):
            output = f"{_NAME}_{position}"
            blocks = scipy.linalg.block_diag(*weight.detach().numpy())
            weights = builder.constant(f"{output}_w", blocks)
            biases = builder.constant(f"{output}_b", bias.detach().numpy().reshape(-1))
            rebuilt = builder.add("Gemm", [rebuilt, weights, biases], output)
            if self.networks.is_bent(position):
                rebuilt = builder.add("Relu", [rebuilt], f"{output}_bent")
        error = builder.add("Sub", [rebuilt, rows], f"{_NAME}_error")
        squared = builder.add("Mul", [error, error], f"{_NAME}_squared")
        width = self.networks.count * len(self.columns)
        share = builder.constant(f"{_NAME}_share", np.full((width, 1), 1.0 / width))
        # Not ReduceMean: it adds in an order that depends on where in memory a row begins, so
        # that the last bit of a score would hang on the rows beside it.
        return builder.add("MatMul", [squared, share], _NAME)

    def _export_standardise(self, builder: Builder) -> str:
        count = self.networks.count
        columns = builder.constant(f"{_NAME}_columns", np.tile(self.columns, count), np.int64)
        fill = builder.constant(f"{_NAME}_fill", np.tile(self.fill, count))
        mean = builder.constant(f"{_NAME}_mean", np.tile(self.mean, count))
        scale = builder.constant(f"{_NAME}_scale", np.tile(self.inverse_deviation, count))
        low = builder.constant(f"{_NAME}_low", -self.clip_sigmas)
        high = builder.constant(f"{_NAME}_high", self.clip_sigmas)
        subset = builder.add("Gather", [INPUT, columns], f"{_NAME}_subset", axis=1)
        unknown = builder.add("IsNaN", [subset], f"{_NAME}_unknown")
        filled = builder.add("Where", [unknown, fill, subset], f"{_NAME}_filled")
        centred = builder.add("Sub", [filled, mean], f"{_NAME}_centred")
        scaled = builder.add("Mul", [centred, scale], f"{_NAME}_scaled")
        return builder.add("Clip", [scaled, low, high], f"{_NAME}_rows")


class Networks:
    """Networks of one shape, each with weights of its own, run and trained together.

    Attributes:
        layers: weights (networks, inputs, outputs) and biases (networks, 1, outputs).
    """

    def __init__(self, width: int, recipe: AutoencoderRecipe, seed: int) -> None:
        self.count = recipe.networks
        sizes = (width, recipe.hidden, recipe.bottleneck, recipe.hidden, width)
        generator = torch.Generator().manual_seed(seed)
        self.layers = [self._layer(before, after, generator) for before, after in pairwise(sizes)]

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """(rows, features), or a set of rows for each network, to (networks, rows, features)."""
        found = rows.expand(self.count, *rows.shape) if rows.dim() == 2 else rows
        for position, (weight, bias) in enumerate(self.layers):
            found = torch.baddbmm(bias, found, weight)
            if self.is_bent(position):
                found = torch.relu(found)
        return found

    def is_bent(self, position: int) -> bool:
        """Not at the bottleneck, where a unit that never fires would be lost for good."""
        return position in (0, 2)

    def parameters(self) -> list[torch.Tensor]:
        return [parameter for layer in self.layers for parameter in layer]

    def _layer(
        self, before: int, after: int, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Uniform up to one over the root of the inputs, as torch's own layers begin."""
        shapes = ((self.count, before, after), (self.count, 1, after))
        weight, bias = (
            ((torch.rand(shape, generator=generator) * 2 - 1) / before**0.5).requires_grad_()
            for shape in shapes
        )
        return weight, bias


def fit_autoencoder(
    matrix: FloatMatrix, columns: Sequence[int], recipe: AutoencoderRecipe, seed: int
) -> Autoencoder:
    """Fit on rows that are not known to be positive.

    Raises:
        TrainingFailed: the loss is not finite.
    """
    chosen = np.asarray(columns, dtype=np.int64)
    subset = matrix[:, chosen].astype(np.float64)
    mean, deviation = np.nanmean(subset, axis=0), np.nanstd(subset, axis=0)
    unfitted = Autoencoder(
        networks=Networks(len(chosen), recipe, seed),
        columns=chosen,
        fill=np.nanmedian(subset, axis=0).astype(np.float32),
        mean=mean.astype(np.float32),
        # A feature that never varied keeps its own unit.
        inverse_deviation=(1.0 / np.where(deviation > 0, deviation, 1.0)).astype(np.float32),
        clip_sigmas=recipe.clip_sigmas,
    )
    _descend(unfitted.networks, unfitted.standardise(matrix), recipe, seed)
    return unfitted


def _descend(networks: Networks, rows: torch.Tensor, recipe: AutoencoderRecipe, seed: int) -> None:
    """Random slices of one tensor: a DataLoader costs three times the training itself."""
    # Such small products gain nothing from a second thread, and lose much on a busy machine.
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(networks.parameters(), lr=recipe.learning_rate)
    for _ in range(recipe.steps):
        batch = rows[torch.randint(len(rows), (recipe.batch_rows,), generator=generator)]
        noise = recipe.noise * torch.randn((networks.count, *batch.shape), generator=generator)
        # of each network by itself: together they would share one step
        loss = torch.mean((networks(batch + noise) - batch) ** 2) * networks.count
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    if not torch.isfinite(loss):
        raise TrainingFailed("autoencoder: the loss is not finite; are the features?")
