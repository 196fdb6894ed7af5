"""The recommender's own model: a denoising autoencoder over ratings, hidden layers 16, 8 and 16.

It is a scikit-learn estimator, so `[train] model` can name it. As no converter knows torch's
networks, `add_nodes` writes its part of the graph, and training compares both on a thousand rows.
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.base import BaseEstimator, RegressorMixin

from learning.export.graph import Builder
from learning.trainers.ranking import export_layers, layers, run_layers
from learning.trainers.ratings import Standardiser

Floats = npt.NDArray[np.float64]


class RatingAutoencoder(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Predicts what a viewer rates next from what he has rated so far.

    In training a share of the ratings is hidden and noise is added, so that the network fills in
    what is unknown instead of copying what is known.
    """

    def __init__(
        self,
        *,
        hidden: tuple[int, ...] = (16, 8, 16),
        steps: int = 1_500,
        batch_rows: int = 256,
        learning_rate: float = 0.005,
        hidden_share: float = 0.15,
        noise: float = 0.1,
        random_state: int | None = None,
    ) -> None:
        self.hidden = hidden
        self.steps = steps
        self.batch_rows = batch_rows
        self.learning_rate = learning_rate
        self.hidden_share = hidden_share
        self.noise = noise
        self.random_state = random_state

    def fit(self, ratings: pd.DataFrame, rated_next: npt.NDArray[Any]) -> Self:
        """Learn from rows; NaN is what was not rated, on both sides."""
        given = ratings.to_numpy(dtype=np.float64)
        self.names_ = tuple(ratings.columns)
        self.inputs_, self.outputs_ = Standardiser.fit(given), Standardiser.fit(rated_next)
        sizes = (given.shape[1], *self.hidden, rated_next.shape[1])
        self.network_ = layers(sizes, self.random_state or 0)
        wanted = (rated_next - self.outputs_.mean) / self.outputs_.scale
        self._descend(self.inputs_.apply(given), wanted)
        return self

    def predict(self, ratings: pd.DataFrame) -> Floats:
        """One rating for each item."""
        rows = self.inputs_.apply(ratings[list(self.names_)].to_numpy(dtype=np.float64))
        return self.outputs_.undo(run_layers(self.network_, rows))

    def add_nodes(self, builder: Builder, columns: Mapping[str, str]) -> str:
        """The same arithmetic as nodes of the graph that is served."""
        together = builder.add("Concat", [columns[name] for name in self.names_], "rated", axis=1)
        rows = self.inputs_.export(builder, together, "so_far")
        scaled = export_layers(builder, self.network_, rows, "layer")
        return self.outputs_.export_undo(builder, scaled, "next")

    def _descend(self, given: Floats, wanted: Floats) -> None:
        # such small products gain nothing from a second thread
        torch.set_num_threads(1)
        random = torch.Generator().manual_seed(self.random_state or 0)
        known = torch.from_numpy(~np.isnan(wanted)).float()
        target, rows = torch.from_numpy(np.nan_to_num(wanted)).float(), torch.from_numpy(given)
        optimiser = torch.optim.Adam(
            self.network_.parameters(), lr=self.learning_rate, weight_decay=1e-4
        )
        slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.steps)
        for _ in range(self.steps):
            chosen = torch.randint(len(rows), (self.batch_rows,), generator=random)
            batch = rows[chosen].float()
            is_kept = torch.rand(batch.shape, generator=random) >= self.hidden_share
            noise = self.noise * torch.randn(batch.shape, generator=random)
            error = self.network_(batch * is_kept + noise) - target[chosen]
            loss = (known[chosen] * error**2).sum() / known[chosen].sum().clamp(min=1.0)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            slower.step()
        if not torch.isfinite(loss):
            raise ValueError("the loss is not finite; are the ratings?")


def estimator() -> RatingAutoencoder:
    """The estimator that `[train] model` names."""
    return RatingAutoencoder()
