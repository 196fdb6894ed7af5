"""The autoencoder on its own standardised features: a narrow torch network, exported by hand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from learning.export.graph import INPUT, Builder
from learning.export.trees import Ints
from shared.errors import TrainingFailed
from shared.usecase.serving import FloatMatrix, FloatVector

from .recipe import AutoencoderRecipe

_NAME = "autoencoder"
_NEARLY_NOTHING = 0.1


@dataclass(frozen=True, slots=True)
class Autoencoder:
    """Score: mean squared error of rebuilding the standardised row; higher is more unusual."""

    network: nn.Sequential
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
            error = torch.mean((self.network(rows) - rows) ** 2, dim=1)
        return error.numpy().astype(np.float64)

    def export(self, builder: Builder) -> str:
        rows = self._export_standardise(builder)
        rebuilt = rows
        for position, layer in enumerate(self.network):
            output = f"{_NAME}_{position}"
            if isinstance(layer, nn.Linear):
                weight = builder.constant(f"{output}_w", layer.weight.detach().numpy())
                bias = builder.constant(f"{output}_b", layer.bias.detach().numpy())
                rebuilt = builder.add("Gemm", [rebuilt, weight, bias], output, transB=1)
            else:
                rebuilt = builder.add("Relu", [rebuilt], output)
        error = builder.add("Sub", [rebuilt, rows], f"{_NAME}_error")
        squared = builder.add("Mul", [error, error], f"{_NAME}_squared")
        width = len(self.columns)
        share = builder.constant(f"{_NAME}_share", np.full((width, 1), 1.0 / width))
        # Not ReduceMean: its order of addition depends on the memory alignment of a row, so
        # that the last bit of a score would depend on the other rows.
        return builder.add("MatMul", [squared, share], _NAME)

    def _export_standardise(self, builder: Builder) -> str:
        columns = builder.constant(f"{_NAME}_columns", self.columns, np.int64)
        fill = builder.constant(f"{_NAME}_fill", self.fill)
        mean = builder.constant(f"{_NAME}_mean", self.mean)
        scale = builder.constant(f"{_NAME}_scale", self.inverse_deviation)
        low = builder.constant(f"{_NAME}_low", -self.clip_sigmas)
        high = builder.constant(f"{_NAME}_high", self.clip_sigmas)
        subset = builder.add("Gather", [INPUT, columns], f"{_NAME}_subset", axis=1)
        unknown = builder.add("IsNaN", [subset], f"{_NAME}_unknown")
        filled = builder.add("Where", [unknown, fill, subset], f"{_NAME}_filled")
        centred = builder.add("Sub", [filled, mean], f"{_NAME}_centred")
        scaled = builder.add("Mul", [centred, scale], f"{_NAME}_scaled")
        return builder.add("Clip", [scaled, low, high], f"{_NAME}_rows")


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
        network=_network(len(chosen), recipe, seed),
        columns=chosen,
        fill=np.nanmedian(subset, axis=0).astype(np.float32),
        mean=mean.astype(np.float32),
        # A constant feature keeps its own unit.
        inverse_deviation=(1.0 / np.where(deviation > 0, deviation, 1.0)).astype(np.float32),
        clip_sigmas=recipe.clip_sigmas,
    )
    # Such small products gain nothing from a second thread, and lose much on a busy machine;
    # the order of addition of two threads is random, too.
    torch.set_num_threads(1)
    rows = unfitted.standardise(matrix)
    _start_at_principal_components(unfitted.network, rows)
    _descend(unfitted.network, rows, recipe, seed)
    return unfitted


def _network(width: int, recipe: AutoencoderRecipe, seed: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(width, recipe.hidden),
            nn.ReLU(),
            # linear at the bottleneck: a dead ReLU unit would never recover
            nn.Linear(recipe.hidden, recipe.bottleneck),
            nn.Linear(recipe.bottleneck, recipe.hidden),
            nn.ReLU(),
            nn.Linear(recipe.hidden, width),
        )


def _start_at_principal_components(network: nn.Sequential, rows: torch.Tensor) -> None:
    """Let the network begin as the linear one that rebuilds best, whatever the seed.

    From weights drawn at random each seed ends elsewhere, with as many rankings of the top rows.
    A component passes a bent layer in two units, once for each sign; what remains of the random
    weights is small, and free to bend.
    """
    into, encode, decode, out = (layer for layer in network if isinstance(layer, nn.Linear))
    components = min(encode.out_features, into.out_features // 2, rows.shape[1])
    width = rows.shape[1]
    covariance = torch.cov(rows.T.double()).reshape(width, width)
    directions = torch.linalg.eigh(covariance).eigenvectors.to(rows.dtype)
    with torch.no_grad():
        for layer in (into, encode, decode, out):
            layer.weight *= _NEARLY_NOTHING
            layer.bias.zero_()
        for at in range(components):
            direction = directions[:, -1 - at]
            for unit, sign in ((2 * at, 1.0), (2 * at + 1, -1.0)):
                into.weight[unit] = sign * direction
                encode.weight[at, unit] = sign
                decode.weight[unit, at] = sign
                out.weight[:, unit] = sign * direction


def _descend(
    network: nn.Sequential, rows: torch.Tensor, recipe: AutoencoderRecipe, seed: int
) -> None:
    """Random slices of one tensor: a DataLoader costs three times the training itself."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    for _ in range(recipe.steps):
        batch = rows[torch.randint(len(rows), (recipe.batch_rows,), generator=generator)]
        noise = recipe.noise * torch.randn(batch.shape, generator=generator)
        loss = torch.mean((network(batch + noise) - batch) ** 2)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    if not torch.isfinite(loss):
        raise TrainingFailed("autoencoder: the loss is not finite; are the features?")
