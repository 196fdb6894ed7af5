"""deploy/compose/ray.yml: the product with a Ray cluster that it can use."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from scheduler.settings import SchedulerSettings
from scripts.manifests import OF_RAY
from shared.execution.certificates import FILES, main
from shared.execution.ray_cluster import host_of, refuse_open_cluster

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "compose" / "ray.yml"


@cache
def config() -> dict[str, Any]:
    docker = shutil.which("docker")
    command = [docker or "docker", "compose", "-f", str(FILE), "config", "--format", "json"]
    if docker is None:
        pytest.skip("docker is not on this machine")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "is not a docker command" in done.stderr or "unknown" in done.stderr:
        pytest.skip("docker has no Compose here")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_scheduler_asks_the_head_and_all_its_settings_exist() -> None:
    services = config()["services"]
    environment = services["scheduler"]["environment"]
    known = {name.upper() for name in SchedulerSettings.model_fields}
    head = services["ray-head"]["networks"]["ray"]["ipv4_address"]
    assert host_of(environment["RAY_ADDRESS"]) == head
    assert {name for name in environment if name.startswith("RAY_")} <= known | OF_RAY


def test_every_node_has_an_address_that_its_certificate_names() -> None:
    services = config()["services"]
    named = services["ray-secrets"]["command"]
    for name in ("ray-head", "ray-worker-1", "ray-worker-2"):
        address = services[name]["networks"]["ray"]["ipv4_address"]
        assert address in named
        assert f"--node-ip-address={address}" in services[name]["command"]
        for variable, value in services["scheduler"]["environment"].items():
            if variable.startswith("RAY_") and variable != "RAY_ADDRESS":
                assert services[name]["environment"][variable] == value


def test_what_is_made_for_the_cluster_is_enough_to_use_it(tmp_path: Path) -> None:
    hosts = config()["services"]["ray-secrets"]["command"][4:]
    assert main([str(tmp_path), *hosts]) == 0
    made = {name: (tmp_path / name).read_bytes() for name in (*FILES.values(), "token")}
    assert main([str(tmp_path), *hosts]) == 0
    assert made == {name: (tmp_path / name).read_bytes() for name in made}
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"),
        "RAY_USE_TLS": "1",
        **{variable: str(tmp_path / name) for variable, name in FILES.items()},
    }
    refuse_open_cluster("ray://10.213.77.2:10001", environment)
    assert main([str(tmp_path)]) == 2
