"""Scores of the held-out rows: in memory at once, over files by shards of the run's executor.

A shard is a range of rows. Its scores, a few numbers a row, are what comes back.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from learning.dataset.large import Workplace
from learning.dataset.mapped import map_matrix, passes, release_pages
from scheduler.cycle.examples import Examples
from shared.bundle.archive import unpack
from shared.scoring.model import Model
from shared.scoring.session import OnnxModel
from shared.system.files import replacing
from shared.usecase.serving import FloatMatrix


@dataclass(frozen=True, slots=True)
class _Scoring:
    """Shared by all shards: files, and the columns that the model reads, by position.

    Attributes:
        width: number of features in a row of the file.
    """

    bundle: Path
    features: Path
    width: int
    columns: npt.NDArray[np.int64]


def held_out_scores(model: Model, raw: bytes | None, examples: Examples) -> FloatMatrix:
    """Component scores of all held-out rows, in their order.

    `raw` is the bundle of `model`, from which it is loaded where a shard is scored. A model that
    is not a graph scores in this process.

    Raises:
        TaskFailed: names the rows and says why.
    """
    names, file = model.manifest.feature_names, examples.held_out_file
    if file is None or raw is None or not isinstance(model, OnnxModel):
        return model.score(examples.held_out_columns(names))
    bundle = file.place.folder / f"{model.manifest.version}.bundle"
    with replacing(bundle) as new:
        new.write_bytes(raw)
    columns = np.array([examples.all_names.index(name) for name in names], dtype=np.int64)
    shared = _Scoring(bundle, file.path, len(examples.all_names), columns)
    return _by_shards(file.place, shared, len(examples.held_out_labels))


def _by_shards(place: Workplace, shared: _Scoring, rows: int) -> FloatMatrix:
    step = place.rows_per_shard
    shards = [(begin, min(begin + step, rows)) for begin in range(0, rows, step)]
    names = [f"scores of held-out rows {begin} to {end}" for begin, end in shards]
    return np.concatenate(place.map(_score_shard, shared, shards, names))


def _score_shard(shared: _Scoring, shard: tuple[int, int]) -> FloatMatrix:
    """The scores of a range of rows; read in parts, as a graph holds several numbers a row."""
    model = OnnxModel.load(unpack(shared.bundle.read_bytes()))
    rows = map_matrix(shared.features, shared.width)[slice(*shard)]
    parts = [model.score(np.ascontiguousarray(part[:, shared.columns])) for part in passes(rows)]
    release_pages(rows)
    return np.concatenate(parts)
