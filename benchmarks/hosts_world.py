"""Several API hosts on this machine: a folder each, one PostgreSQL, a real HAProxy before them."""

import csv
import io
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from benchmarks.services import REPOSITORY, Services, children_of, free_port

CONFIGURATION = REPOSITORY / "deploy" / "haproxy" / "haproxy.cfg"
_PATIENCE_SECONDS = 120.0
# this machine does other things as well: a model may take its time to load
_PATIENT = {"SMOKE_TIMEOUT_SECONDS": "120"}


def haproxy() -> str | None:
    """The program, where it is installed."""
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")


class Balancer:
    """HAProxy by the shipped configuration, before these addresses (two)."""

    def __init__(self, addresses: Sequence[str], **variables: str) -> None:
        self.port, self._stats_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        first, second = addresses
        self._environment: Mapping[str, str] = {
            **os.environ,
            "BIND": f"127.0.0.1:{self.port}",
            "STATS_BIND": f"127.0.0.1:{self._stats_port}",
            "API_1": first,
            "API_2": second,
            # generous, since this machine is busy
            "CHECK_TIMEOUT": "20s",
            **variables,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Balancer":
        program = haproxy()
        if program is None:
            raise FileNotFoundError("haproxy is not on this machine")
        self._process = subprocess.Popen(
            [program, "-db", "-q", "-f", CONFIGURATION],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def states(self) -> dict[str, str]:
        """The state of each host by HAProxy: UP, DOWN, ..."""
        try:
            page = httpx.get(f"http://127.0.0.1:{self._stats_port}/;csv", timeout=5).text
        except httpx.HTTPError:
            return {}
        rows = csv.DictReader(io.StringIO(page.removeprefix("# ")))
        return {row["svname"]: row["status"] for row in rows if row["pxname"] == "scoring"}

    def wait_for(self, **states: str) -> None:
        """Waits until the hosts are held to be so, by their names with _ for -."""
        wanted = {name.replace("_", "-"): state for name, state in states.items()}
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not wanted.items() <= {k: v.split()[0] for k, v in self.states().items()}.items():
            if time.monotonic() > deadline:
                raise TimeoutError(f"HAProxy says {self.states()}, not {wanted}")
            time.sleep(0.05)


class Host(Services):
    """One API host: its process may die, its folder be lost."""

    def kill(self) -> None:
        """SIGKILL to the process and to its drain, as when the machine stops."""
        process = self._processes["api"]
        for child in children_of(process.pid):
            os.kill(child, signal.SIGKILL)
        process.kill()
        process.wait()

    def lose_journal(self) -> None:
        """The volume is destroyed."""
        shutil.rmtree(self.folder / "journal", ignore_errors=True)


@contextmanager
def running_hosts(
    folder: Path, database_url: str, settings: Mapping[str, str], count: int = 2
) -> Iterator[list[Host]]:
    """Hosts that have nothing in common but the database; none is started."""
    with ExitStack() as stack:
        hosts = []
        for number in range(1, count + 1):
            place = folder / f"api-{number}"
            place.mkdir()
            host = Host(place, **{"DATABASE_URL": database_url, **_PATIENT, **settings})
            stack.enter_context(host)
            hosts.append(host)
        yield hosts


def address(host: Services) -> str:
    return f"127.0.0.1:{host.port}"
