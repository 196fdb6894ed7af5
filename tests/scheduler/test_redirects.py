"""An API that sends the scheduler elsewhere gets neither there with the token nor the bundle."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scheduler.scoring_api import ApiUnavailable, HttpScoringApi
from tests.scheduler.standin_api import StandInApi, standin_api


class Redirecting(BaseHTTPRequestHandler):
    """Answers everything with another address."""

    elsewhere = ""

    def do_GET(self) -> None:
        self.send_response(307)
        self.send_header("Location", f"{self.elsewhere}{self.path}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def elsewhere() -> Iterator[StandInApi]:
    with standin_api() as server:
        yield server


@pytest.fixture
def client(elsewhere: StandInApi) -> Iterator[HttpScoringApi]:
    Redirecting.elsewhere = elsewhere.url
    with ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        client = HttpScoringApi(f"http://127.0.0.1:{server.server_address[1]}", "token", 2.0, 2.0)
        yield client
        client.close()
        server.shutdown()
        thread.join()


def test_a_redirect_is_an_answer_like_any_other_and_never_followed(
    client: HttpScoringApi, elsewhere: StandInApi
) -> None:
    with pytest.raises(ApiUnavailable):
        client.current()
    assert client.push(b"bundle", "key:signature").status == 307
    assert elsewhere.received == []
