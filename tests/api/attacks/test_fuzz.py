"""Whatever is sent: no 500, no status and no shape that the schema does not name."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import usecases
from tests.api.attacks.fuzz import AnswerCounts, fuzz
from tests.api.bundles import Signer
from tests.api.server import Running, serve_settings
from tests.api.shipped import COMPONENTS, THRESHOLDS

USE_CASE = usecases.load_serving(usecases.DEFAULT)


@pytest.fixture
def shipped(template: Path, tmp_path: Path) -> Iterator[Running]:
    """The service that ships, with credentials on every route that has any."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "prod_models")
    settings = serve_settings(
        tmp_path, scoring_auth="on", failed_attempts_per_minute=0, changes_per_minute=0
    )
    with Running(settings, USE_CASE) as server:
        signer = Signer(settings.keys_dir)
        raw = signer.bundle(
            "1.0.0",
            use_case=USE_CASE.name,
            components=COMPONENTS,
            feature_names=USE_CASE.feature_set.names,
            feature_set_version=USE_CASE.feature_set.version,
            thresholds=THRESHOLDS,
        )
        server.push(raw, signer).raise_for_status()
        yield server


def holds(tally: AnswerCounts, server: Running, cases: int) -> None:
    assert tally.cases >= cases
    paths = server.client.get("/openapi.json").json()["paths"]
    assert len(tally.operations) == sum(len(operations) for operations in paths.values())
    assert {200, 401, 422} <= set(tally.statuses)
    assert server.client.get("/livez").status_code == 200


@pytest.mark.slow
def test_five_hundred_generated_requests_break_no_promise(shipped: Running) -> None:
    holds(fuzz(shipped, 500), shipped, 500)


@pytest.mark.slow
def test_ten_thousand_generated_requests_break_no_promise(shipped: Running) -> None:
    holds(fuzz(shipped, 10_000, first_seed=1_000), shipped, 10_000)
