"""deploy/kubernetes/: what an overlay sends to a cluster is valid, and agrees with the product."""

import base64
import copy
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from scripts import manifests
from understudy.cli import app

ROOT = Path(__file__).parents[2]
OVERLAYS = [path.name for path in manifests.overlays()]
README = ROOT / "deploy" / "kubernetes" / "README.md"
MADE_BY_OPERATORS = {"ray-worker-secret-ray"}

Manifest = dict[str, Any]


@cache
def rendered(overlay: str) -> tuple[Manifest, ...]:
    if not Path(sys.executable).with_name("kubectl").exists():
        pytest.skip("kubectl is not in this environment; requirements/dev.txt has it")
    return tuple(manifests.render(manifests.KUBERNETES / "overlays" / overlay))


def of_kind(overlay: str, kind: str) -> list[Manifest]:
    return [each for each in rendered(overlay) if each["kind"] == kind]


def pods(overlay: str) -> list[Manifest]:
    return [pod for each in rendered(overlay) for pod in manifests.pod_templates(each)]


def test_the_overlays_are_those_that_the_page_lists() -> None:
    assert set(OVERLAYS) == set(re.findall(r"^\| `([a-z-]+)` \|", README.read_text(), re.MULTILINE))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_renders_without_a_finding(overlay: str) -> None:
    assert list(manifests.check(list(rendered(overlay)))) == []


def test_the_alert_rules_are_those_of_monitoring() -> None:
    assert manifests.PROMETHEUS_RULE.read_text() == manifests.prometheus_rule()


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda pod: pod.update(enableServiceLink=False), "enableServiceLink"),
        (lambda pod: pod.pop("enableServiceLinks"), "API_PORT"),
        (lambda pod: pod.pop("automountServiceAccountToken"), "automountServiceAccountToken"),
        (lambda pod: pod["securityContext"].pop("runAsNonRoot"), "runAsNonRoot"),
        (lambda pod: pod["containers"][0].pop("readinessProbe"), "readinessProbe is missing"),
        (lambda pod: pod["containers"][0].pop("resources"), "memory is missing"),
        (lambda pod: pod["containers"][0]["env"].append({"name": "JOURNAL", "value": "x"}),
         "no setting is named JOURNAL"),
        (lambda pod: pod["containers"][0]["ports"][0].update(containerPort="8000"), "8000"),
    ],
)  # fmt: skip
def test_a_wrong_manifest_would_have_been_noticed(change: Any, finding: str) -> None:
    [api] = [each for each in of_kind("small", "StatefulSet") if each["metadata"]["name"] == "api"]
    wrong = copy.deepcopy(api)
    change(wrong["spec"]["template"]["spec"])
    assert finding in "; ".join(manifests.check([wrong]))


def test_kinds_without_a_schema_and_secrets_are_findings() -> None:
    strange = {"apiVersion": "example.org/v1", "kind": "Strange", "metadata": {"name": "x"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}}
    found = "; ".join(manifests.check([strange, secret]))
    assert "there is no Strange" in found
    assert "made by the person who deploys" in found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_common_setting_is_one_of_a_service(overlay: str) -> None:
    known = {name.upper() for kind in manifests.SETTINGS.values() for name in kind.model_fields}
    [common] = [each for each in of_kind(overlay, "ConfigMap") if "LOG_FORMAT" in each["data"]]
    assert set(common["data"]) <= known


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_images_are_ours_at_this_version_and_have_a_tag(overlay: str) -> None:
    from shared.version import VERSION  # noqa: PLC0415

    ours = {f"understudy-{path.suffix[1:]}" for path in ROOT.glob("Dockerfile.*")}
    for pod in pods(overlay):
        for container in pod["spec"]["containers"]:
            name, _, tag = container["image"].partition(":")
            assert name in ours | {"haproxy"}
            assert tag.startswith(VERSION) if name in ours else tag


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_ports_of_settings_containers_and_services_are_the_same(overlay: str) -> None:
    ports: dict[str, dict[str, int]] = {}
    for pod in pods(overlay):
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        for container in pod["spec"]["containers"]:
            ports[component] = {each["name"]: each["containerPort"] for each in container["ports"]}
            named = {each["name"]: each.get("value") for each in container.get("env", [])}
            for setting in {"API_PORT", "CONSOLE_PORT", "METRICS_PORT"} & set(named):
                assert int(named[setting]) in ports[component].values()
    for service in of_kind(overlay, "Service"):
        of_pods = ports[service["spec"]["selector"]["app.kubernetes.io/component"]]
        assert all(each["targetPort"] in of_pods for each in service["spec"]["ports"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_service_that_a_setting_names_exists(overlay: str) -> None:
    services = {each["metadata"]["name"] for each in of_kind(overlay, "Service")}
    services |= {f"{each['metadata']['name']}-head-svc" for each in of_kind(overlay, "RayCluster")}
    for pod in pods(overlay):
        for container in pod["spec"]["containers"]:
            for variable in container.get("env", []):
                for host in re.findall(r"^[a-z]+://([a-z0-9.-]+)", variable.get("value", "")):
                    labels = host.removesuffix(".understudy.svc").split(".")
                    assert labels[-1] in services, variable


def test_every_secret_that_a_pod_takes_is_made_by_the_steps_of_the_page(tmp_path: Path) -> None:
    """Typed as the page shows them, only without a cluster."""
    text = README.read_text()
    steps = re.findall(r"kubectl create secret (?:[^\n\\]|\\\n)*", text)
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    made = CliRunner().invoke(app, ["keys", "make"], env={"KEYS_DIR": str(tmp_path / "keys")})
    assert made.exit_code == 0, made.output
    secrets: dict[str, Manifest] = {}
    for step in steps:
        command = f"{step} --dry-run=client -o yaml"
        if "ray-token" not in step:
            done = subprocess.run(
                ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True,
                text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            secret = yaml.safe_load(done.stdout)
            secrets[secret["metadata"]["name"]] = secret["data"]
    named = set(re.findall(r"create secret generic ([a-z-]+)", text))
    for overlay in OVERLAYS:
        for pod in pods(overlay):
            assert _secrets_of(pod) <= named | MADE_BY_OPERATORS
    assert "ed25519.pem" in secrets["signing-key"]
    assert base64.b64decode(secrets["push-token"]["push.token"])
    assert len(secrets["trust"]) == 1


def _secrets_of(pod: Manifest) -> set[str]:
    found = {
        volume["secret"]["secretName"]
        for volume in pod["spec"].get("volumes", [])
        if "secret" in volume
    }
    for container in pod["spec"]["containers"]:
        for variable in container.get("env", []):
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            found |= {reference["name"]} if reference else set()
    return found


def test_only_the_scheduler_sees_the_key_that_signs() -> None:
    holders = {
        pod["metadata"]["labels"]["app.kubernetes.io/component"]
        for overlay in OVERLAYS
        for pod in pods(overlay)
        if "signing-key" in _secrets_of(pod)
    }
    assert holders == {"scheduler"}


def test_the_gateway_names_as_many_hosts_as_there_may_be() -> None:
    [scaling] = of_kind("two-zones", "HorizontalPodAutoscaler")
    config = (manifests.KUBERNETES / "overlays" / "two-zones" / "haproxy.cfg").read_text()
    hosts = re.findall(r"^    server api-(\d) api-\1\.api-hosts\.", config, re.MULTILINE)
    assert [int(each) for each in hosts] == list(range(scaling["spec"]["maxReplicas"]))


def test_the_gateway_chooses_hosts_and_repeats_rows_by_the_rules_of_haproxy_elsewhere() -> None:
    overlay = manifests.KUBERNETES / "overlays" / "two-zones"
    ours, theirs = (
        [line.strip() for line in (folder / "haproxy.cfg").read_text().splitlines()]
        for folder in (overlay, ROOT / "deploy" / "haproxy")
    )
    rules = ("http-request set-var", "balance hash", "hash-", "tune.bufsize", "retry-on")
    shared = [line for line in theirs if line.startswith(rules)]
    assert len(shared) == 8
    assert [line for line in ours if line.startswith(rules)] == shared
    # all routes pass here, so labels are not repeated either
    assert "http-request disable-l7-retry if METH_POST !{ var(txn.row_id) -m found }" in ours


def test_the_gateway_configuration_is_valid_for_haproxy() -> None:
    haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if haproxy is None:
        pytest.skip("haproxy is not on this machine; .ci/tools installs it")
    config = manifests.KUBERNETES / "overlays" / "two-zones" / "haproxy.cfg"
    done = subprocess.run(
        [haproxy, "-c", "-f", config], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
