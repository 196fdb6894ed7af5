"""Ranking: the network is served as it predicts, with the baselines that it has to beat."""

from dataclasses import replace

import numpy as np
import pytest

from learning.export.parity import run_graph
from learning.measures import measure_named
from learning.trainers.ratings import baselines_of
from learning.trainers.request import InputColumn, Recipe, TrainingRequest
from learning.trainers.train import GRAPH, fit, train
from shared.errors import TrainingFailed
from shared.tasks import OUTLIER, Task
from shared.usecase.learning import baseline_path

ITEMS = 12
QUICK = Recipe("denoising_autoencoder", {"steps": 400})


def silent(_what: str, _share: float) -> None: ...


def tastes(rows: int = 1_500, seed: int = 0) -> TrainingRequest:
    """Three kinds of users, each with its own taste that no sum of ratings tells."""
    rng = np.random.default_rng(seed)
    liked = np.random.default_rng(1).normal(0, 1.5, (3, ITEMS))
    kind = rng.integers(3, size=rows)
    now, later = (3 + liked[kind] + rng.normal(0, 1, (rows, ITEMS)) for _ in range(2))
    now[rng.random(now.shape) < 0.6] = np.nan
    later[rng.random(later.shape) < 0.3] = np.nan
    later[:, 0] = 3.0
    names = [f"item {place}" for place in range(ITEMS)]
    return TrainingRequest(
        Task.ranking(names), now.astype(np.float32), later.astype(np.float32),
        tuple(InputColumn(name) for name in names), "1", recipes=(QUICK,),
    )  # fmt: skip


def test_the_network_and_both_baselines_are_served_as_they_predict() -> None:
    request = tastes()
    candidate = train(request, silent)
    fitted = fit(request, QUICK, slice(None))
    rows = request.matrix[:100]
    assert candidate.components == request.task.outputs
    assert np.abs(run_graph(candidate.files[GRAPH], rows) - fitted.predict(rows)).max() < 1e-4
    for name, baseline in baselines_of(request).items():
        graph = candidate.files[baseline_path(name)]
        assert np.abs(run_graph(graph, rows) - baseline.predict(rows)).max() < 1e-4


def test_the_network_beats_the_users_own_vector_where_tastes_are_shared() -> None:
    request = tastes()
    fitted = fit(request, QUICK, slice(0, 1_000))
    later = slice(1_000, 1_500)
    measure = measure_named("ndcg_at_5")
    own, network = (
        measure.of(model.predict(request.matrix[later]), request.labels[later].astype(float)).value
        for model in (baselines_of(request)["own_vector"], fitted)
    )
    assert network > own + 0.05


def test_training_again_makes_the_same_graph() -> None:
    request = replace(tastes(400), recipes=(Recipe("denoising_autoencoder", {"steps": 50}),))
    assert train(request, silent).files == train(request, silent).files


def test_what_cannot_be_ranked_is_refused() -> None:
    request = tastes(300)
    for wrong, said in (
        (
            replace(request, task=Task.regression(), labels=request.matrix[:, 0] * 0),
            "one finite number a row",
        ),
        (replace(request, recipes=(Recipe(),)), "gradient_boosting has no ranking"),
        (replace(request, recipes=(Recipe("denoising_autoencoder", {"depth": 1}),)), "no setting"),
        (replace(request, labels=request.labels[:, :3]), "items are due"),
        (
            replace(request, columns=(InputColumn("mood", is_category=True), *request.columns[1:])),
            "mood is a category: remove it",
        ),
    ):
        with pytest.raises(TrainingFailed, match=said):
            train(wrong, silent)


def test_a_column_that_is_no_item_is_learned_from_and_an_item_may_have_no_column() -> None:
    request = tastes(400)
    columns = (InputColumn("age"), *request.columns[:-1])
    age = np.full((400, 1), 40.0, dtype=np.float32)
    wider = replace(
        request,
        matrix=np.hstack([age, request.matrix[:, :-1]]),
        columns=columns,
        items=request.names,
        recipes=(Recipe("denoising_autoencoder", {"steps": 20}),),
    )
    candidate = train(wider, silent)
    own = baselines_of(wider)["own_vector"]
    rows = wider.matrix[:50]
    answered = run_graph(candidate.files[baseline_path("own_vector")], rows)
    assert np.abs(answered - own.predict(rows)).max() < 1e-4
    assert np.unique(answered[:, -1]).size == 1
    rated = ~np.isnan(rows[:, 1])
    assert (answered[rated, 0] == rows[rated, 1]).all()


def test_unusual_rows_of_a_ranking_are_told_by_the_outlier_component() -> None:
    recipe = Recipe("denoising_autoencoder", {"steps": 20})
    request = replace(tastes(600), recipes=(recipe,), outlier=True)
    candidate = train(request, silent)
    assert candidate.components[-1] == OUTLIER
    scores = run_graph(candidate.files[GRAPH], request.matrix[:50])
    odd = run_graph(candidate.files[GRAPH], np.full((1, ITEMS), 9.0, dtype=np.float32))
    assert odd[0, -1] > np.quantile(scores[:, -1], 0.9)
