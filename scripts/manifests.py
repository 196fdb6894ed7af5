"""deploy/kubernetes/: every overlay is rendered and checked; the alert rules are copied there."""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

import api.settings
import console.settings
import scheduler.settings
from shared.settings import SettingGroup

ROOT = Path(__file__).parent.parent
KUBERNETES = ROOT / "deploy" / "kubernetes"
RULES = ROOT / "monitoring" / "rules.yml"
PROMETHEUS_RULE = KUBERNETES / "components" / "monitoring" / "rules.yaml"
SCHEMAS = KUBERNETES / "schemas"
VERSIONS = ("1.32", "1.37")
"""The oldest and the newest Kubernetes that manifests are checked against."""

SETTINGS: Mapping[str, type[SettingGroup]] = {
    "api": api.settings.Settings,
    "scheduler": scheduler.settings.SchedulerSettings,
    "console": console.settings.ConsoleSettings,
}
OF_RAY = frozenset({
    "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_USE_TLS",
    "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT",
    "RAY_USAGE_STATS_ENABLED", "RAY_CLIENT_RECONNECT_GRACE_PERIOD",
})  # fmt: skip
"""Variables that Ray reads itself."""

Manifest = dict[str, Any]
HELP = """Renders every overlay of deploy/kubernetes and checks what comes out.

  python -m scripts.manifests           check: status 1 and one line for each finding
  python -m scripts.manifests --write   write components/monitoring/rules.yaml out of monitoring/
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.manifests",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--write", action="store_true", help="write the alert rules")
    if parser.parse_args(arguments).write:
        PROMETHEUS_RULE.write_text(prometheus_rule())
        return 0
    findings = [] if PROMETHEUS_RULE.read_text() == prometheus_rule() else [_STALE]
    for overlay in overlays():
        manifests = render(overlay)
        findings += [f"{overlay.name}: {finding}" for finding in check(manifests)]
        sys.stdout.write(f"{overlay.name}: {len(manifests)} manifests\n")
    sys.stderr.write("".join(f"{finding}\n" for finding in findings))
    return 1 if findings else 0


_STALE = "monitoring/rules.yml has changed: run python -m scripts.manifests --write"


def overlays() -> list[Path]:
    return sorted(path.parent for path in KUBERNETES.glob("overlays/*/kustomization.yaml"))


def render(overlay: Path) -> list[Manifest]:
    """The output of `kubectl apply -k` before it is sent, by this environment's kubectl."""
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run(  # noqa: S603 - a program of this environment
        [kubectl, "kustomize", overlay], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ValueError(f"{overlay.name}: {done.stderr.strip()}")
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def check(manifests: list[Manifest]) -> Iterator[str]:
    """Faults of the manifests, one sentence each."""
    for manifest in manifests:
        name = f"{manifest['kind']}/{manifest['metadata']['name']}"
        yield from (f"{name}: {finding}" for finding in _invalid(manifest))
        if manifest["kind"] == "Secret":
            yield f"{name}: a secret is made by the person who deploys, never kept here"
        for template in pod_templates(manifest):
            yield from (f"{name}: {finding}" for finding in _pod_findings(template))


def pod_templates(manifest: Manifest) -> list[Manifest]:
    """The pods that a manifest starts."""
    spec = manifest.get("spec") or {}
    if manifest["kind"] == "RayCluster":
        groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
        return [group["template"] for group in groups]
    return [spec["template"]] if isinstance(spec.get("template"), dict) else []


def _invalid(manifest: Manifest) -> Iterator[str]:
    """Members that the schema of its kind does not know, strictly."""
    schema = SCHEMAS / f"{manifest['kind'].lower()}.json"
    if schema.is_file():
        validator = jsonschema.Draft202012Validator(json.loads(schema.read_text()))
        for error in validator.iter_errors(manifest):
            yield f"{error.json_path}: {error.message[:200]}"
        core = [
            {"apiVersion": "v1", "kind": "PodTemplate", "template": template}
            for template in pod_templates(manifest)
        ]
    else:
        core = [manifest]
    for one in core:
        for version in VERSIONS:
            yield from _refused_by(version, one)


def _refused_by(version: str, manifest: Manifest) -> Iterator[str]:
    validator = _validator(version, manifest["kind"], manifest["apiVersion"])
    if validator is None:
        yield f"there is no {manifest['kind']} in Kubernetes {version}: schemas/ needs its schema"
        return
    for error in validator.iter_errors(manifest):
        yield f"Kubernetes {version}: {error.json_path}: {error.message[:200]}"


@cache
def _validator(version: str, kind: str, api_version: str) -> jsonschema.Draft202012Validator | None:
    """The validator of a kind, as `kubernetes-validate --strict` applies it; made once."""
    group, _, name = api_version.rpartition("/")
    suffix = "-".join(part for part in (group.partition(".")[0], name) if part)
    try:
        schema = schema_contents(f"{_folder(version)}/{kind.lower()}-{suffix}.json", version)
    except FileNotFoundError:
        return None
    return jsonschema.Draft202012Validator(schema, registry=_definitions(version))


@cache
def _definitions(version: str) -> Registry[Any]:
    contents = schema_contents(f"{_folder(version)}/_definitions.json", version)
    return Resource.from_contents(contents) @ Registry()


def _folder(version: str) -> str:
    return f"kubernetes-json-schema/v{version}.0-local-strict"


def _pod_findings(template: Manifest) -> Iterator[str]:
    """Members that Kubernetes accepts and we do not."""
    spec = template["spec"]
    if spec.get("enableServiceLinks") is not False:
        yield "enableServiceLinks: a Service named `api` would set API_PORT; write false"
    if spec.get("automountServiceAccountToken") is not False:
        yield "automountServiceAccountToken: no pod calls the API of Kubernetes; write false"
    if spec.get("securityContext", {}).get("runAsNonRoot") is not True:
        yield "securityContext.runAsNonRoot: write true"
    component = template["metadata"]["labels"].get("app.kubernetes.io/component", "")
    for container in spec["containers"]:
        found = _container_findings(container, component)
        yield from (f"{container['name']}: {finding}" for finding in found)


def _container_findings(container: Manifest, component: str) -> Iterator[str]:
    # a scheduler receives no requests, so it needs no readiness probe
    needed = ["livenessProbe"] + ["readinessProbe"] * (component != "scheduler")
    yield from (f"{probe} is missing" for probe in needed if probe not in container)
    if "memory" not in container.get("resources", {}).get("limits", {}):
        yield "resources.limits.memory is missing"
    kind = SETTINGS.get(component)
    known = OF_RAY | {name.upper() for name in (kind.model_fields if kind else ())}
    names = [variable["name"] for variable in container.get("env", [])]
    yield from (f"no setting is named {name}" for name in names if name not in known)


def prometheus_rule() -> str:
    """monitoring/rules.yml as a resource of the Prometheus Operator."""
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "understudy", "namespace": "understudy"},
        "spec": yaml.safe_load(RULES.read_text()),
    }
    head = "# Written by `python -m scripts.manifests --write` out of monitoring/rules.yml.\n"
    return head + str(yaml.safe_dump(rule, sort_keys=False, width=100))


if __name__ == "__main__":
    sys.exit(main())
