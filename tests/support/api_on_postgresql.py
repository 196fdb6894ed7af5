"""The API on a PostgreSQL database."""

import os
from collections.abc import Iterator

import httpx
import pytest

import usecases
from tests.api.bundles import Signer
from tests.api.mortal_postgres import MortalPostgres
from tests.api.server import Running
from tests.postgres import is_installed

USE_CASE = usecases.load_serving(usecases.DEFAULT)


@pytest.fixture
def database() -> Iterator[MortalPostgres]:
    if not is_installed():
        if os.environ.get("CI") == "true":
            pytest.fail("CI must have PostgreSQL server binaries; install postgresql")
        pytest.skip("PostgreSQL server binaries are not on this machine")
    with MortalPostgres() as server:
        yield server


def predict(server: Running, transaction_id: str, user: str = "u") -> httpx.Response:
    body = {"amount": 20.0, "user_id": user, "merchant_id": "m", "transaction_id": transaction_id}
    answer = server.client.post("/predict", json=body)
    assert answer.status_code == 200, answer.text
    return answer


def bundle(signer: Signer) -> bytes:
    return signer.bundle(
        "1.0.0",
        use_case=USE_CASE.name,
        components=("classifier", "isolation_forest", "autoencoder"),
        feature_names=USE_CASE.feature_set.names,
        feature_set_version=USE_CASE.feature_set.version,
        thresholds={"review": 0.4, "block": 0.8, "isolation_forest": 0.6, "autoencoder": 0.5},
    )
