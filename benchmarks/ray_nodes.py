"""A real Ray cluster of this machine, with a token and TLS: a head, and workers as nodes of it."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from shared.execution.certificates import write_certificates

ROOT = Path(__file__).parents[1]
START_SECONDS = 600
_STORE_BYTES = 200_000_000
# Start timeouts of the parts of a node, on a busy machine. One of 15 s cannot be set: a node whose
# agents need longer ends, and is started again.
_PATIENT = {"RAY_raylet_start_wait_time_s": "90", "RAY_agent_register_timeout_ms": "240000"}


@dataclass
class RayNodes:
    """A running cluster.

    Attributes:
        environment: what a driver needs to use it: RAY_ADDRESS, the token and the certificates.
    """

    folder: Path
    environment: Mapping[str, str]
    gcs: str
    nodes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start_worker(self, cpus: int = 1) -> None:
        """Add a node; returns when it has joined."""
        self.start(["--address", self.gcs, "--num-cpus", str(cpus)], f"node-{len(self.nodes)}")

    def start(self, options: Sequence[str], name: str) -> None:
        """Start a node by `ray start`; returns when it runs.

        Raises:
            RuntimeError: it did not start, again and again.
        """
        deadline = time.monotonic() + START_SECONDS
        while True:
            before = set(self.processes())
            said = self._try_to_start(options, name)
            if said is None:
                return
            _kill(set(self.processes()) - before)
            self.nodes.pop().wait()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not start: {said}")

    def _try_to_start(self, options: Sequence[str], name: str) -> str | None:
        """None once it runs, else the end of its log."""
        log = self.folder / f"{name}.log"
        agents = ["metrics-export", "dashboard-agent-grpc", "dashboard-agent-listen"]
        ports = [f"--{agent}-port={free_port()}" for agent in (*agents, "runtime-env-agent")]
        ray = str(Path(sys.executable).with_name("ray"))
        command: list[str] = [
            *(ray, "start", "--block", "--disable-usage-stats"),
            *(f"--node-ip-address={own_address()}", f"--object-store-memory={_STORE_BYTES}"),
            *(*ports, *options),
        ]  # fmt: skip
        environment = {**os.environ, **self.environment, **_PATIENT, "PYTHONPATH": str(ROOT)}
        with log.open("wb") as output:
            self.nodes.append(
                subprocess.Popen(
                    command, stdout=output, stderr=output, env=environment, start_new_session=True
                )
            )
        deadline = time.monotonic() + START_SECONDS
        while b"Ray runtime started" not in log.read_bytes():
            if self.nodes[-1].poll() is not None or time.monotonic() > deadline:
                return log.read_text()[-2000:]
            time.sleep(0.2)
        return None

    def processes(self) -> list[int]:
        """Every process of this cluster, by the token in its environment."""
        own = f"RAY_AUTH_TOKEN={self.environment['RAY_AUTH_TOKEN']}".encode()
        return [pid for pid in _pids() if own in _read(pid, "environ") and pid != os.getpid()]

    def task_processes(self) -> list[int]:
        """Processes that carry out a task now: Ray writes its name into their title."""
        return [pid for pid in self.processes() if b"carry_out" in _read(pid, "cmdline")]

    def stop(self) -> None:
        _kill(self.processes())
        for node in self.nodes:
            node.wait()


@contextmanager
def running_ray(folder: Path, *, head_cpus: int = 2) -> Iterator[RayNodes]:
    """A head, gone with all its processes when the block ends."""
    port, client = free_port(), free_port()
    environment = {
        "RAY_ADDRESS": f"ray://127.0.0.1:{client}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_CLIENT_RECONNECT_GRACE_PERIOD": "3",
        **write_certificates(folder / "tls", ["localhost", "127.0.0.1", own_address()]),
    }
    nodes = RayNodes(folder, environment, f"{own_address()}:{port}")
    # a short path: Unix sockets limit its length
    temporary = Path(f"/tmp/ray-{port}")
    options = [
        *("--head", f"--port={port}", f"--ray-client-server-port={client}"),
        *("--include-dashboard=false", f"--num-cpus={head_cpus}", f"--temp-dir={temporary}"),
    ]
    try:
        nodes.start(options, "head")
        yield nodes
    finally:
        nodes.stop()
        subprocess.run(["rm", "-rf", str(temporary)], check=False)


def own_address() -> str:
    """The address of this machine that Ray registers a node under."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 1))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
