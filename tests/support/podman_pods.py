"""Pods of rendered manifests, played by podman as a node of Kubernetes would start them.

podman plays pods, claims and config maps. What it does not play of ours is put in its place here:
a pod for each StatefulSet and Deployment, a claim for each template and scratch folder (of the
user that fsGroup would give it to), folders for secrets, `hostAliases` for names of Services.
Probes are left to the test: podman would carry them out with programs that the images lack.
"""

import copy
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
USER = 10001
NOT_PLAYED = ("affinity", "topologySpreadConstraints", "enableServiceLinks", "tolerations")
NOT_PLAYED_OF_CONTAINERS = ("startupProbe", "livenessProbe", "readinessProbe", "lifecycle")
CHECKOUT = "localhost/understudy-checkout:test"
COMMANDS = {name: ["python", "-m", f"{name}.main"] for name in ("api", "scheduler", "console")}
_FILES_OF_THE_MACHINE = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/passwd")

Manifest = dict[str, Any]


def reason_not_to_run() -> str | None:
    """Why pods cannot be played here; None where they can."""
    if shutil.which("podman") is None:
        return "podman is not on this machine: apt-get install podman catatonit"
    if os.geteuid() != 0:
        return "pods with volumes of another user need root"
    if not any(Path(place).exists() for place in ("/usr/libexec/podman/catatonit",)):
        return "catatonit, of which podman makes the pause image, is missing: apt-get install it"
    return None


@dataclass
class PodmanPods:
    """Pods with names of their own, gone when the block of `podman_pods` ends.

    Attributes:
        secrets: the folder in which each secret of the manifests is a folder.
        database_url: the value of the secret `database`.
        shared: folders that pods have under the same path, such as that of a database's socket.
    """

    folder: Path
    secrets: Mapping[str, Path]
    database_url: str
    shared: Sequence[Path] = ()
    prefix: str = field(default_factory=lambda: f"u{uuid.uuid4().hex[:8]}")
    volumes: list[str] = field(default_factory=list)

    def play(self, manifests: Sequence[Manifest], name: str, aliases: Mapping[str, str]) -> str:
        """Start the pod of this name; returns its address."""
        [owner] = [
            each
            for each in manifests
            if each["kind"] in {"StatefulSet", "Deployment"} and each["metadata"]["name"] == name
        ]
        settings = [each for each in manifests if each["kind"] == "ConfigMap"]
        pod = self._pod(owner, aliases)
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump_all([*settings, pod]))
        self.run("kube", "play", str(file))
        infra = self._inspected("pod", self.name(name))["InfraContainerID"]
        networks = self._inspected("container", infra)["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])

    def name(self, component: str) -> str:
        return f"{self.prefix}-{component}"

    def volume(self, claim: str) -> Path:
        """The folder of a claim, which belongs to the user of the pods as fsGroup would have it."""
        name = self.name(claim)
        if name not in self.volumes:
            self.run("volume", "create", name)
            self.volumes.append(name)
        folder = Path(self._inspected("volume", name)["Mountpoint"])
        os.chown(folder, USER, USER)
        return folder

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            ["podman", *arguments], capture_output=True, text=True, check=False,
            env={**os.environ, "CONTAINERS_CONF": str(self._limits())},
        )  # fmt: skip
        assert done.returncode == 0, f"podman {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def logs(self, component: str) -> str:
        name = f"{self.name(component)}-{component}"
        done = subprocess.run(
            ["podman", "logs", "--tail", "40", name], capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    def _pod(self, owner: Manifest, aliases: Mapping[str, str]) -> Manifest:
        component = owner["metadata"]["name"]
        spec = copy.deepcopy(owner["spec"]["template"]["spec"])
        for key in NOT_PLAYED:
            spec.pop(key, None)
        claims = [
            {"name": each["metadata"]["name"],
             "persistentVolumeClaim": {"claimName": f"{each['metadata']['name']}-{component}"}}
            for each in owner["spec"].get("volumeClaimTemplates", ())
        ]  # fmt: skip
        spec["volumes"] = [self._volume(each, component) for each in [*spec["volumes"], *claims]]
        spec["hostAliases"] = [
            {"ip": address, "hostnames": [host]} for host, address in aliases.items()
        ]
        [container] = spec["containers"]
        self._fill(container, component, spec["volumes"])
        metadata = {"name": self.name(component), "labels": owner["metadata"]["labels"]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def _fill(self, container: Manifest, component: str, volumes: list[Manifest]) -> None:
        """The container with what a cluster would have given it."""
        for key in NOT_PLAYED_OF_CONTAINERS:
            container.pop(key, None)
        container.pop("resources", None)
        # podman would open them on this machine; the test calls the address of the pod
        container.pop("ports", None)
        container["imagePullPolicy"] = "Never"
        for variable in container["env"]:
            if variable.pop("valueFrom", None):
                variable["value"] = self.database_url
        mounted = {str(path): str(path) for path in self.shared}
        image = f"localhost/{container['image']}"
        if self._has(image):
            container["image"] = image
        else:
            mounted |= self._run_the_checkout(container, component)
        for at, (here, there) in enumerate(mounted.items()):
            volumes.append({"name": f"here-{at}", "hostPath": {"path": here}})
            container["volumeMounts"].append({"name": f"here-{at}", "mountPath": there})

    def _run_the_checkout(self, container: Manifest, component: str) -> dict[str, str]:
        """Without the image: the code and the Python of this machine, in an empty root."""
        container["image"] = CHECKOUT
        container["command"] = COMMANDS[component]
        container["workingDir"] = str(ROOT)
        container["env"] += [
            {"name": "PATH", "value": f"{sys.prefix}/bin:/usr/bin:/bin"},
            {"name": "PYTHONPATH", "value": str(ROOT)},
            {"name": "NUMBA_CACHE_DIR", "value": "/tmp/numba-cache"},
        ]
        places = (*_FILES_OF_THE_MACHINE, sys.prefix, sys.base_prefix, str(ROOT))
        return {place: place for place in dict.fromkeys(places) if Path(place).exists()}

    def _volume(self, volume: Manifest, component: str) -> Manifest:
        name = volume["name"]
        if "secret" in volume:
            path = str(self.secrets[volume["secret"]["secretName"]])
            return {"name": name, "hostPath": {"path": path, "type": "Directory"}}
        claim = volume.get("persistentVolumeClaim", {"claimName": f"{name}-{component}"})
        self.volume(claim["claimName"])
        named = self.name(claim["claimName"])
        return {"name": name, "persistentVolumeClaim": {"claimName": named}}

    def _has(self, image: str) -> bool:
        return subprocess.run(["podman", "image", "exists", image], check=False).returncode == 0

    def _inspected(self, kind: str, name: str) -> Any:
        found = json.loads(self.run(kind, "inspect", name))
        return found[0] if isinstance(found, list) else found

    def _limits(self) -> Path:
        """podman asks for more open files than a machine without CAP_SYS_RESOURCE gives."""
        path = self.folder / "containers.conf"
        if not path.exists():
            kinds = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
            limits = []
            for name, kind in kinds.items():
                hard = resource.getrlimit(kind)[1]
                most = 8192 if hard < 0 else min(8192, hard)
                limits.append(f"{name}={most}:{most}")
            path.write_text(f"[containers]\ndefault_ulimits = {json.dumps(limits)}\n")
        return path


@contextmanager
def podman_pods(pods: PodmanPods) -> Iterator[PodmanPods]:
    """Everything that was played is removed at the end, its volumes too."""
    try:
        with tarfile.open(pods.folder / "empty.tar", "w") as tar:
            tar.add(__file__, "what-this-is.py")
        pods.run("import", str(pods.folder / "empty.tar"), CHECKOUT)
        yield pods
    finally:
        for name in pods.run("pod", "ps", "--format", "{{.Name}}").split():
            if name.startswith(pods.prefix):
                pods.run("pod", "rm", "-f", "-t", "5", name)
        for name in pods.volumes:
            pods.run("volume", "rm", "-f", name)
