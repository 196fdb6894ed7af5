"""The compose profile `monitoring`: pinned images, shipped files, nothing for other machines."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # of schemathesis

COMPOSE = yaml.safe_load(Path("docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = {
    name: service
    for name, service in COMPOSE["services"].items()
    if service.get("profiles") == ["monitoring"]
}


def test_the_profile_has_prometheus_alertmanager_grafana_and_jaeger() -> None:
    assert set(SERVICES) == {"alert-token", "prometheus", "alertmanager", "grafana", "jaeger"}


def test_without_a_profile_there_are_the_three_services() -> None:
    plain = {name for name, one in COMPOSE["services"].items() if "profiles" not in one}
    assert plain == {"api", "scheduler", "console"}


def test_official_images_are_pinned() -> None:
    images = [service["image"] for service in SERVICES.values() if "image" in service]
    assert len(images) == 4
    for image in images:
        assert re.fullmatch(r"(prom|grafana|jaegertracing)/\w+:v?\d+\.\d+\.\d+", image)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_is_hardened_and_published_on_this_machine_only(name: str) -> None:
    service = SERVICES[name]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert not str(service.get("user", "10001")).startswith("0")


def test_mounted_files_exist_and_are_read_only() -> None:
    mounts = [mount for one in SERVICES.values() for mount in one.get("volumes", [])]
    files = [mount for mount in mounts if mount.startswith("./")]
    assert len(files) == 5
    for mount in files:
        source, _, mode = mount.split(":")
        assert (Path(source).exists(), mode) == (True, "ro")


def test_grafana_has_no_account_with_a_known_password() -> None:
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"


def test_alertmanager_finds_its_token_where_the_profile_puts_it() -> None:
    config = Path("monitoring/alertmanager.yml").read_text(encoding="utf-8")
    assert "alert_token:/etc/alertmanager/secrets:ro" in SERVICES["alertmanager"]["volumes"]
    assert "credentials_file: /etc/alertmanager/secrets/alert_token}" in config
    assert SERVICES["alert-token"]["command"][-1].endswith("> /alert_token/alert_token")


def test_prometheus_keeps_what_the_longest_window_needs() -> None:
    days = re.findall(r"\[(\d+)d\]", Path("monitoring/rules.yml").read_text(encoding="utf-8"))
    (kept,) = re.findall(r"retention.time=(\d+)d", " ".join(SERVICES["prometheus"]["command"]))
    assert int(kept) >= max(map(int, days))


def test_compose_takes_the_file() -> None:
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    for profile in ([], ["--profile", "monitoring"]):
        done = subprocess.run(
            ["docker", "compose", *profile, "config", "--quiet"],
            capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ),
        )  # fmt: skip
        if "is not a docker command" in done.stderr:
            pytest.skip("docker has no compose")
        assert done.returncode == 0, done.stderr
