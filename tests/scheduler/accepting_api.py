"""A stand-in that takes what is pushed by the API's own two rules of order.

Neither a fencing number older than one it has seen, nor a version that is not newer than the
newest it has accepted. What it accepted can be counted afterwards.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from shared.bundle.archive import unpack
from shared.bundle.version import Version
from shared.contracts.http import BUNDLE_SIGNATURE, FENCING_NUMBER
from tests.support.api_answers import NO_MODEL, changed, current_model, models, problem


@dataclass(frozen=True)
class Acceptance:
    """One promotion."""

    version: Version
    sha256: str
    fencing_number: int


class AcceptingApi(ThreadingHTTPServer):
    """Serves what it accepted last.

    Attributes:
        gives_bundles: whether the bytes of the live version are given, as the API does.
    """

    daemon_threads = True
    gives_bundles = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.accepted: list[Acceptance] = []
        self.refused: list[str] = []
        self._live: tuple[bytes, str] = (b"", "")
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def push(self, raw: bytes, signature: str, fencing_number: int) -> tuple[int, dict[str, Any]]:
        bundle = unpack(raw)
        version = bundle.manifest.parsed_version
        with self._lock:
            latest = self.accepted[-1] if self.accepted else None
            if latest and fencing_number < latest.fencing_number:
                return self._refuse("an older fencing number")
            if latest and version <= latest.version:
                return self._refuse("not a newer version")
            self.accepted.append(Acceptance(version, bundle.sha256, fencing_number))
            self._live = raw, signature
        previous = str(latest.version) if latest else None
        return 200, changed(str(version), previous)

    def bundle(self, path: str) -> tuple[bytes, str] | None:
        """The bytes and the signature of the live version, if the path names them."""
        with self._lock:
            wanted = f"/models/{self.accepted[-1].version}/bundle" if self.accepted else None
            return self._live if self.gives_bundles and path == wanted else None

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        accepted = list(self.accepted)
        if path.endswith("/bundle"):
            return 404, problem("unknown-version", 404, "not given")
        if path in {"/current_model", "/readyz"} and not accepted:
            return 503, NO_MODEL
        if path == "/current_model":
            return 200, current_model(str(accepted[-1].version), accepted[-1].sha256)
        if path == "/models":
            return 200, models(*(str(one.version) for one in accepted))
        return 200, {"status": "ok"}

    def _refuse(self, why: str) -> tuple[int, dict[str, Any]]:
        self.refused.append(why)
        return 409, problem("version-conflict", 409, why)


class _Handler(BaseHTTPRequestHandler):
    server: AcceptingApi

    def do_GET(self) -> None:
        bundle = self.server.bundle(self.path)
        if bundle is None:
            self._send(*self.server.answer(self.path))
        else:
            self._send_bytes(200, bundle[0], {BUNDLE_SIGNATURE: bundle[1]})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        signature, number = self.headers[BUNDLE_SIGNATURE], int(self.headers[FENCING_NUMBER])
        self._send(*self.server.push(raw, signature, number))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - inherited
        return

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        self._send_bytes(status, json.dumps(answer).encode(), {})

    def _send_bytes(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except ConnectionError:  # whoever asked was killed meanwhile
            self.close_connection = True


@contextmanager
def accepting_api() -> Iterator[AcceptingApi]:
    """The server on a free port, in a separate thread."""
    with AcceptingApi() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
