"""Does the ranking autoencoder beat its baselines, and by how much? 29 categories, made by rule.

Users have one of six tastes, shifted by their own mood; a taste is a nonlinear thing (who
likes two kinds of films together dislikes each alone), so that a weighted sum does not tell it.
A row is what a user has rated so far, sixty in a hundred ratings unknown; the label is what the
same user rates next. Users who are judged are not those that are learned from.
"""

import sys
import time

import numpy as np
import numpy.typing as npt

from benchmarks.report import finish
from learning.export.parity import run_graph
from learning.measures import measure_named
from learning.trainers.request import InputColumn, Recipe, TrainingRequest
from learning.trainers.train import GRAPH, train
from scheduler.statistics.compare import compare_sample
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.measure import Plan
from shared.tasks import Task
from shared.usecase.learning import BASELINES

ITEMS, USERS, TASTES = 29, 4_000, 6
ROWS_A_USER = 3
METRIC = "ndcg_at_5"
Floats = npt.NDArray[np.float64]


def ratings(seed: int = 0) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Ratings so far, ratings next (unknown ones NaN), and whose they are."""
    rng = np.random.default_rng(seed)
    liked = rng.normal(0, 1, (TASTES, ITEMS))
    users = np.repeat(np.arange(USERS), ROWS_A_USER)
    first, second = rng.integers(TASTES, size=(2, USERS))
    together = np.where(first == second, 1.0, np.sign(first - second))[:, None]
    taste = liked[first] + 0.8 * together * liked[second] * np.tanh(liked[first])
    taste += 0.4 * rng.normal(size=(USERS, ITEMS))

    def rated(unknown: float) -> Floats:
        felt = 3.0 + 1.2 * taste[users] + 0.6 * rng.normal(size=(len(users), ITEMS))
        told = np.round(np.clip(felt, 1.0, 5.0) * 2) / 2
        told[rng.random(told.shape) < unknown] = np.nan
        told[:, 0] = np.where(np.isnan(told).all(axis=1), 3.0, told[:, 0])
        return np.asarray(told, dtype=np.float64)

    return rated(0.6), rated(0.3), users


def main() -> None:
    now, later, users = ratings()
    learned = users < 0.75 * USERS
    names = [f"genre {place}" for place in range(ITEMS)]
    request = TrainingRequest(
        Task.ranking(names),
        now[learned].astype(np.float32),
        later[learned].astype(np.float32),
        tuple(InputColumn(name) for name in names),
        "1",
        recipes=(Recipe("denoising_autoencoder"),),
    )
    began = time.process_time()
    candidate = train(request, lambda _what, _share: None)
    figures = {"rows": float(len(now)), "train_cpu_seconds": time.process_time() - began}
    rows, truth = now[~learned].astype(np.float32), later[~learned]
    scores = run_graph(candidate.files[GRAPH], rows).astype(np.float64)
    figures[METRIC] = measure_named(METRIC).of(scores, truth).value
    for path, graph in candidate.files.items():
        if not path.startswith(BASELINES):
            continue
        name = path.removeprefix(BASELINES).removesuffix(".onnx")
        baseline = run_graph(graph, rows).astype(np.float64)
        evidence = Evidence(baseline, scores, truth, users[~learned], task=request.task)
        found = compare_sample(evidence.sample(), METRIC, 0.025, Plan())
        figures |= {f"{name}_{METRIC}": found.champion, f"{name}_gain": found.difference}
        figures |= {f"{name}_gain_lower": found.lower, f"{name}_gain_upper": found.upper}
        if found.lower <= 0:
            sys.stderr.write(f"not shown to beat {name}\n")
    figures = {name: round(float(value), 4) for name, value in figures.items()}
    bars = {f"{name}_gain_lower": (">", 0.0) for name in ("own_vector", "ridge")}
    finish("recommender", figures, bars)


if __name__ == "__main__":
    main()
