"""What a browser is told: no frame, no foreign script, no reading from another page."""

import base64
import hashlib
import re

import pytest

from api.settings import Settings
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
    loaded = re.findall(r'(?:src|href)="(https?:[^"]+)"', answer.text)
    assert loaded
    assert all(address.startswith(policy["script-src"].split(" ")[0]) for address in loaded)
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


@pytest.mark.parametrize("origins", ["*", "dashboard.example", "https://a.example/path", "null"])
def test_an_origin_that_is_none_is_no_setting(origins: str) -> None:
    with pytest.raises(ValueError, match="cors_origins"):
        Settings.model_validate({"cors_origins": origins})
