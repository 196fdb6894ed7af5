"""POST /predict?reasons=N of fraud: a blend, explained in probability."""

from collections.abc import Iterator

import pytest

import usecases
from shared.keys.tokens import Role, read_token
from tests.api.server import Running
from tests.support.served_fraud import fraud_settings
from tests.usecases.fraud.training.examples import explained_graph
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.training.recipe import COMPONENTS

ROW = {
    "amount": 220.0,
    "user_id": "ada",
    "merchant_id": "shop",
    "merchant_category": "casino",
    "channel": "online",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = fraud_settings(
        tmp_path_factory.mktemp("contributions"),
        {"model.onnx": explained_graph(0.6)},
        components=COMPONENTS,
        feature_names=FEATURE_SET.names,
        thresholds={"review": 0.3, "block": 0.8},
    )
    with Running(settings, usecases.load_serving("fraud")) as running:
        token = read_token(settings.keys_dir, Role.SCORER)
        running.client.headers["Authorization"] = f"Bearer {token}"
        yield running


def test_contributions_add_up_to_the_probability_and_words_are_told_as_sent(
    server: Running,
) -> None:
    answer = server.client.post("/predict?reasons=20", json=ROW)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["raw_score"] == pytest.approx(told["probability"], abs=1e-5)
    found = {one["feature"]: one for one in told["reasons"]}
    assert found["merchant_category"]["value"] == "casino"
    assert found["merchant_category"]["contribution"] > 0
    assert not any(name.endswith("_code") for name in found)
    assert found.get("amount", {"value": 220.0})["value"] == ROW["amount"]


def test_an_answer_holds_three_contributions_unless_asked_for_more(server: Running) -> None:
    told = server.client.post("/predict?reasons", json=ROW).json()
    assert len(told["reasons"]) == 3
    assert "reasons" not in server.client.post("/predict", json=ROW).json()


def test_each_row_of_a_batch_has_the_reasons_it_has_alone(server: Running) -> None:
    rows = [
        {**ROW, "transaction_id": f"t-{at}", "user_id": f"u-{at}", "amount": 10.0 * at + 1}
        for at in range(12)
    ]
    answer = server.client.post("/predict/batch?reasons=20", json={"instances": rows})
    assert answer.status_code == 200, answer.text
    told = answer.json()["predictions"]
    assert told == [server.client.post("/predict?reasons=20", json=row).json() for row in rows]
    for one in told:
        assert one["raw_score"] == pytest.approx(one["probability"], abs=1e-5)
        total = sum(reason["contribution"] for reason in one["reasons"])
        # twenty of all features are told
        assert len(one["reasons"]) == 20 or total + one["expected_raw_score"] == pytest.approx(
            one["raw_score"]
        )


def test_the_route_with_rules_refuses_the_option(server: Running) -> None:
    answer = server.client.post("/api/analyze-transaction?reasons=3", json=ROW)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "reasons"
