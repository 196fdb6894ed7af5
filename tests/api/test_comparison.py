"""A fresh version beside its predecessor: same rows, same moment; and figures by version."""

import re
from dataclasses import replace

import numpy as np
import pytest

from api.metrics import Metrics
from api.models.comparison import Comparison, compared
from api.models.model_slot import LiveModel, make_live
from api.row_metrics import AllVersions
from api.settings import Settings
from shared.bundle.archive import unpack
from shared.scoring.session import load_model
from shared.usecase.serving import FloatMatrix
from tests.api.bundles import Signer, install
from tests.api.faulty import FAILS, nan_model
from tests.api.server import Running, wait_until
from tests.api.tiny import TinyUseCase


@pytest.fixture
def pair(signer: Signer) -> tuple[LiveModel, LiveModel]:
    """1.0.1 and its predecessor 1.0.0."""
    models = [
        make_live(load_model(unpack(signer.bundle(version)), allow_pickle=False), TinyUseCase(), 0)
        for version in ("1.0.1", "1.0.0")
    ]
    return models[0], models[1]


class CannotScore:
    """A predecessor that fails on these rows."""

    def score(self, matrix: FloatMatrix) -> FloatMatrix:
        raise ValueError("no")


def figures(server: Running) -> dict[str, float]:
    """Samples of /metrics, by name and labels."""
    lines = server.client.get("/metrics").text.splitlines()
    found = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {re.sub(r'activation="\d+",?', "", name): float(value) for name, value in found}


def test_every_row_of_a_quiet_service_is_scored_by_both_versions(
    settings: Settings, signer: Signer
) -> None:
    with Running(settings) as server:
        assert server.push(signer.bundle("1.0.1"), signer).status_code == 200
        for number in range(5):
            assert server.score(amount=float(number)).json()["version"] == "1.0.1"
        # The next row would be a neighbour of the last; these are further apart than the pause.
        wait_until(lambda: server.score(amount=1.0).status_code == 200 and rows(server) >= 3)
        told = figures(server)
    labels = 'against="1.0.0",by="{}",version="1.0.1"'
    for by in ("live", "predecessor"):
        assert told[f"understudy_compared_seconds{{{labels.format(by)}}}"] > 0
        made = 'against="1.0.0",by="' + by + '",decision="'
        assert sum(value for name, value in told.items() if made in name) >= 3
    assert told['understudy_version_row_seconds_count{version="1.0.1"}'] >= 5


def is_compared(server: Running) -> bool:
    return server.service.models.slot.comparison is not None


def rows(server: Running) -> float:
    name = 'understudy_compared_rows{against="1.0.0",version="1.0.1"}'
    return figures(server).get(name, 0.0)


def test_rows_that_a_version_fails_on_are_its_own_and_the_answers_are_the_fallbacks(
    settings: Settings, signer: Signer
) -> None:
    limits = settings.model_copy(update={"breaker_failures": 0})
    with Running(limits) as server:
        raw = signer.bundle("1.0.1", {"model.onnx": nan_model("1.0.1")})
        assert server.push(raw, signer).status_code == 200
        for _ in range(4):
            assert server.score(amount=FAILS).json()["version"] == "1.0.0"
        told = figures(server)
        assert told['understudy_version_failed_rows_total{version="1.0.1"}'] == 4
        assert told['understudy_version_failed_rows_total{version="1.0.0"}'] == 0
        assert told['understudy_version_row_seconds_count{version="1.0.0"}'] == 4


def test_without_a_fallback_or_for_a_proven_version_nothing_is_compared(
    settings: Settings, signer: Signer
) -> None:
    with Running(settings) as server:
        assert not is_compared(server)
        registry = server.service.models.registry
        registry.save(registry.ledger.with_served_well("1.0.0", 2))
        assert server.push(signer.bundle("1.0.1"), signer).status_code == 200
        assert is_compared(server)
        assert server.rollback().json()["version"] == "1.0.0"
        assert not is_compared(server)


def test_a_version_that_came_by_rollback_without_having_served_well_is_judged_too(
    settings: Settings, signer: Signer
) -> None:
    install(settings, signer, "1.0.1", "1.0.2")
    with Running(settings) as server:
        assert server.rollback().json()["version"] == "1.0.1"
        comparison = server.service.models.slot.comparison
        assert comparison is not None
        assert (comparison.live.version, comparison.predecessor.version) == ("1.0.1", "1.0.0")


def test_a_pair_is_counted_as_a_pair_and_then_there_is_a_pause(
    pair: tuple[LiveModel, LiveModel],
) -> None:
    comparison = Comparison(*pair, fresh_seconds=60)
    matrix = np.zeros((3, 2), dtype=np.float32)
    comparison.repeat(matrix, 0.5, ["block", "approve", None], lambda *_: "approve")
    assert (comparison.rows, comparison.seconds[0]) == (3, 0.5)
    assert comparison.decisions[0] == {"block": 1, "approve": 1}
    assert comparison.decisions[1] == {"approve": 2}
    assert comparison.due > 0
    assert not comparison.is_over


def test_what_the_predecessor_cannot_score_is_not_compared(
    pair: tuple[LiveModel, LiveModel],
) -> None:
    live, other = pair
    fails = replace(other, model=CannotScore())  # type: ignore[arg-type]
    comparison = Comparison(live, fails, fresh_seconds=60)
    comparison.repeat(np.zeros((1, 2), dtype=np.float32), 0.5, ["block"], lambda *_: "approve")
    assert (comparison.rows, comparison.seconds) == (0, [0.0, 0.0])
    assert comparison.due > 0


def test_the_comparison_begins_anew_with_each_activation_and_each_predecessor(
    pair: tuple[LiveModel, LiveModel],
) -> None:
    live, other = pair
    first = compared(live, other, 60, None)
    assert first is not None
    assert compared(live, other, 50, first) is first
    assert compared(replace(live, activated_at_us=7), other, 60, first) is not first
    assert compared(live, live, 60, first) is not first
    assert compared(live, None, 60, first) is None
    assert compared(live, other, 0, first) is None


def test_an_hour_after_the_activation_the_comparison_is_over(
    pair: tuple[LiveModel, LiveModel],
) -> None:
    comparison = Comparison(*pair, fresh_seconds=1e-9)
    comparison.repeat(np.zeros((1, 2), dtype=np.float32), 0.5, ["a"], lambda *_: "a")
    assert comparison.is_over
    assert comparison.due == float("inf")


def test_an_activation_counts_from_zero_and_decisions_of_all_versions_never_fall() -> None:
    metrics = Metrics()
    versions = metrics.versions
    for number in range(20):
        versions.activated(f"1.0.{number % 10}", number * 1_000_000)
        versions.answered([(f"1.0.{number % 10}", "approve", 0.001, 0.5, {})] * 3)
        assert versions.rows_of(f"1.0.{number % 10}") == 3
        counted = b'understudy_decisions_total{decision="approve",version="1.0.%d"} %d' % (
            number % 10, 3 + 3 * (number // 10),
        )  # fmt: skip
        assert counted in metrics.render()
    versions.activated("1.0.9", 19_000_000)
    assert versions.rows_of("1.0.9") == 3
    assert metrics.render().count(b"understudy_version_row_seconds_count{") == 8


def test_rows_of_a_version_that_was_never_in_service_have_no_activation() -> None:
    versions = AllVersions()
    versions.answered([("2.0.0", "block", 0.5, 0.9, {})])
    versions.failed("2.0.0", 2)
    samples = [sample for family in versions.collect() for sample in family.samples]
    failed = next(s for s in samples if s.name == "understudy_version_failed_rows_total")
    assert (failed.labels, failed.value) == ({"version": "2.0.0", "activation": ""}, 2)
