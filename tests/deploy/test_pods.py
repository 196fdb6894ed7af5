"""The pods of the overlay `small` run by podman, from its manifests: they answer /predict."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from scripts import manifests
from shared.clock import SystemClock, isoformat
from shared.keys.tokens import Role, read_token
from tests.postgres import Postgres, postgres
from tests.support.podman_pods import USER, PodmanPods, podman_pods, reason_not_to_run
from tests.support.served_fraud import fraud_settings
from usecases.fraud.features.catalogue import FEATURE_SET

__all__ = ["postgres"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(reason_not_to_run() is not None, reason=str(reason_not_to_run())),
]
SECRETS = {
    "signing-key": "signing",
    "trust": "trust",
    "push-token": "push",
    "feedback-token": "feedback",
    "console-token": "console",
    "api-tokens": "api",
}
COMPONENTS = ("classifier", "isolation_forest")
START_SECONDS = 600


@pytest.fixture
def pods(postgres: Postgres, tmp_path: Path) -> Iterator[PodmanPods]:
    """Keys, a database, and the registry of a model that serves, for pods to come."""
    settings = fraud_settings(
        tmp_path,
        components=COMPONENTS,
        feature_names=FEATURE_SET.names[:4],
        thresholds={"review": 10.0, "block": 40.0, "isolation_forest": 30.0},
    )
    secrets = {secret: settings.keys_dir / name for secret, name in SECRETS.items()}
    for folder in secrets.values():
        folder.mkdir(parents=True, exist_ok=True)
    postgres.folder.chmod(0o755)
    made = PodmanPods(tmp_path, secrets, postgres.new_database(), [postgres.folder])
    with podman_pods(made):
        registry = made.volume("models") / "registry"
        shutil.copytree(settings.prod_models_dir, registry)
        for place in (registry.parent, settings.keys_dir):
            _give(place)
        yield made


def _give(place: Path) -> None:
    """Let the user of the pods own a folder."""
    for path in (place, *place.rglob("*")):
        os.chown(path, USER, USER)


def _await(what: Callable[[], bool], told: Callable[[], str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not what():
        assert time.monotonic() < deadline, told()
        time.sleep(0.5)


def _answers(url: str, host: str) -> bool:
    try:
        return httpx.get(url, headers={"Host": host}, timeout=5).is_success
    except httpx.HTTPError:
        return False


def test_the_pods_of_small_start_and_answer_predict(pods: PodmanPods, tmp_path: Path) -> None:
    if not Path(sys.executable).with_name("kubectl").exists():
        pytest.skip("kubectl is not in this environment; requirements/dev.txt has it")
    rendered = manifests.render(manifests.KUBERNETES / "overlays" / "small")

    api = pods.play(rendered, "api", {})
    _await(lambda: _answers(f"http://{api}:8000/readyz", "api"), lambda: pods.logs("api"))
    row = {
        "transaction_id": "first",
        "user_id": "u1",
        "merchant_id": "m1",
        "amount": 42.5,
        "currency": "EUR",
        "transaction_type": "purchase",
        "event_time": isoformat(SystemClock().now_us()),
    }
    token = read_token(tmp_path / "keys", Role.SCORER)
    headers = {"Host": "api", "Authorization": f"Bearer {token}"}
    answer = httpx.post(f"http://{api}:8000/predict", json=row, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.json()["version"] == "1.0.0"

    names = {"api-0.api-hosts": api}
    pods.play(rendered, "scheduler", names)
    container = f"{pods.name('scheduler')}-scheduler"
    _await(
        lambda: _is_healthy(pods, container),
        lambda: pods.logs("scheduler"),
    )
    console = pods.play(rendered, "console", names)
    _await(
        lambda: _answers(f"http://{console}:8001/livez", "console"), lambda: pods.logs("console")
    )


def _is_healthy(pods: PodmanPods, container: str) -> bool:
    try:
        pods.run("exec", container, "python", "-m", "scheduler.healthcheck")
    except AssertionError:
        return False
    return True
