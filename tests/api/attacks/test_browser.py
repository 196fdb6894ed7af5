"""Headers for browsers: no frame, no foreign script, no reading from another page."""

import base64
import hashlib
import re

import pytest

from api.settings import Settings
from shared.host_names import Hosts
from shared.keys.tokens import Role
from tests.api.server import Running

PAGE = "https://dashboard.example"
SEEN = ("/docs", "/openapi.json", "/api/health", "/livez", "/readyz", "/metrics", "/nowhere")


@pytest.mark.parametrize("path", SEEN)
def test_every_page_is_told_to_keep_to_itself(steady: Running, path: str) -> None:
    headers = steady.client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert "Server" not in headers


def test_problems_of_scoring_are_told_the_same(steady: Running) -> None:
    answer = steady.client.post("/score", json={"amount": "much"})
    assert answer.status_code == 422
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_docs_run_their_own_script_and_no_other(steady: Running) -> None:
    answer = steady.client.get("/docs")
    policy = dict(
        part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; ")
    )
    inline = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(inline[0].encode()).digest()).decode()
    assert len(inline) == 1
    assert f"'sha256-{digest}'" in policy["script-src"]
    assert "unsafe" not in policy["script-src"]
    assert not re.search(r'(?:src|href)="(?:https?:)?//', answer.text)
    assert (policy["base-uri"], policy["form-action"]) == ("'none'", "'none'")


def test_no_page_of_another_origin_may_read_or_ask(steady: Running) -> None:
    asks = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    preflight = steady.client.options("/rollback_model", headers=asks)
    assert preflight.status_code == 405
    for answer in (preflight, steady.client.get("/models", headers={"Origin": PAGE})):
        assert not any(name.startswith("access-control") for name in answer.headers)


def test_pages_of_the_origins_named_may_read_and_others_still_not(settings: Settings) -> None:
    named = settings.model_copy(update={"cors_origins": f"{PAGE}, http://127.0.0.1:3000"})
    with Running(named) as server:
        allowed = server.client.get("/models", headers={"Origin": PAGE})
        assert allowed.headers["Access-Control-Allow-Origin"] == PAGE
        assert "Access-Control-Allow-Credentials" not in allowed.headers
        scored = server.client.post("/score", json={"amount": 1.0}, headers={"Origin": PAGE})
        assert scored.headers["Access-Control-Allow-Origin"] == PAGE
        other = server.client.get("/models", headers={"Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in other.headers


WRITES = ("/score", "/score/batch", "/feedback", "/rollback_model", "/update_model", "/alert")
FROM_ELSEWHERE = {
    "another origin": {"Origin": "https://evil.example"},
    "a page without an origin": {"Origin": "null"},
    "another port of this machine": {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"},
    "a browser that names the site alone": {"Sec-Fetch-Site": "cross-site"},
    "an origin that ends like ours": {"Origin": "http://evil.example/127.0.0.1"},
    "an extension": {"Origin": "chrome-extension://abc"},
}


@pytest.mark.parametrize("headers", FROM_ELSEWHERE.values(), ids=FROM_ELSEWHERE)
@pytest.mark.parametrize("path", WRITES)
def test_a_page_from_elsewhere_writes_and_changes_nothing(
    steady: Running, path: str, headers: dict[str, str]
) -> None:
    answer = steady.client.post(path, json={"amount": 1.0}, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:understudy:problem:foreign-origin"
    assert "CORS_ORIGINS" in answer.json()["detail"]


def test_a_page_of_ours_may_ask_what_it_likes(steady: Running) -> None:
    headers = {"Origin": steady.url, "Sec-Fetch-Site": "same-origin"}
    assert steady.client.post("/score", json={"amount": 1.0}, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/plain; application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json+x",
    ],
)
@pytest.mark.parametrize("path", ["/score", "/score/batch", "/feedback"])
def test_what_a_browser_sends_without_asking_is_no_json(
    steady: Running, path: str, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    if path == "/feedback":
        headers |= steady.bearer(Role.FEEDBACK)
    answer = steady.client.post(path, content=b'{"amount": 1.0}', headers=headers)
    assert answer.status_code == 415
    assert answer.json()["type"] == "urn:understudy:problem:unsupported-media-type"


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON ; charset=utf-8"])
def test_json_with_or_without_parameters_is_read(steady: Running, kind: str) -> None:
    headers = {"Content-Type": kind}
    answer = steady.client.post("/score", content=b'{"amount": 1.0}', headers=headers)
    assert answer.status_code == 200


OURS = ["127.0.0.1", "[::1]:8000", "10.1.2.3:80", "localhost", "LocalHost:8000", "a.localhost"]


@pytest.mark.parametrize("host", OURS)
def test_addresses_and_names_of_this_machine_are_ours(host: str) -> None:
    assert Hosts().allows(host.encode())


def test_a_name_is_ours_when_it_is_in_the_setting_and_a_page_cannot_rebind_its_own() -> None:
    hosts = Hosts("api, scores.example, .inner.example")
    for name in ("api:8000", "scores.example", "a.inner.example:1", "API", "scores.example."):
        assert hosts.allows(name.encode())
    for name in ("rebound.example", "scores.example.evil", "xapi", "a.scores.example", "1.2.3.4.e"):
        assert not hosts.allows(name.encode())
    assert Hosts("*").allows(b"anything.example")


def test_names_that_are_asked_for_are_not_kept_without_end() -> None:
    hosts = Hosts("*")
    for number in range(10_000):
        assert hosts.allows(b"host%d" % number)
    assert len(hosts.known) < 100


def test_the_name_in_a_page_that_rebound_it_reads_nothing(steady: Running) -> None:
    for path in ("/current_model", "/metrics", "/docs"):
        answer = steady.client.get(path, headers={"Host": "rebound.example:8000"})
        assert answer.status_code == 421
        assert "ALLOWED_HOSTS" in answer.json()["detail"]
    answer = steady.client.post(
        "/score", json={"amount": 1.0}, headers={"Host": "rebound.example:8000"}
    )
    assert answer.status_code == 421


@pytest.mark.parametrize("origins", ["*", "dashboard.example", "https://a.example/path", "null"])
def test_an_origin_that_is_none_is_no_setting(origins: str) -> None:
    with pytest.raises(ValueError, match="cors_origins"):
        Settings.model_validate({"cors_origins": origins})
