"""Bad input and attacks: every route and verb, foreign pages, other names, hostile texts, sizes."""

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from console.guard import PAGE_POLICY
from console.screens.catalogue import DEEDS, SCREENS
from tests.support.console_bench import CURRENT, HEALTH, MODELS, Bench, form_token

XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202e{{7*7}}"
PAGES = [screen.path for screen in SCREENS if screen.in_navigation]
VERBS = ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND")


def routes(bench: Bench) -> list[Route]:
    return bench.wired.app._app.routes  # type: ignore[attr-defined,no-any-return]


def example(path: str) -> str:
    filled = path.replace("{run_id:number}", "1").replace("{version}", "1.0.0")
    return filled.replace("{name}", "rollback")


def test_every_route_is_a_page_a_file_or_a_form(bench: Bench) -> None:
    known = {"/", "/livez", "/login", "/logout", "/deeds/{name}"}
    known |= {
        "/reports/candidate/{version}",
        "/reports/run/{run_id:number}",
        "/reports/drift/{name}",
    }
    known |= {"/reports/replay/{name}"}
    known |= {f"{screen.path}{end}" for screen in SCREENS for end in ("", ".json", ".csv")}
    stray = {route.path for route in routes(bench)} - known
    assert all(path.startswith("/static/") for path in stray)
    changing = {route.path for route in routes(bench) if "POST" in (route.methods or ())}
    assert changing == {"/login", "/logout", "/deeds/{name}"}


@pytest.mark.parametrize("verb", VERBS)
def test_no_other_verb_is_answered(bench: Bench, verb: str) -> None:
    browser = bench.browser()
    for route in routes(bench):
        assert browser.request(verb, example(route.path)).status_code == 405


def test_a_page_takes_no_form_and_a_form_is_no_page(bench: Bench) -> None:
    browser = bench.browser()
    for path in PAGES:
        assert browser.post(path).status_code == 405
    for deed in DEEDS:
        assert browser.get(f"/deeds/{deed.name}").status_code == 405


def test_without_a_session_nothing_but_the_login_and_the_files_is_read(closed: Bench) -> None:
    browser = closed.browser()
    open_ones = {"/", "/livez", "/login"}
    for route in routes(closed):
        if route.path in open_ones or route.path.startswith("/static/"):
            continue
        if "GET" in (route.methods or ()):
            answer = browser.get(example(route.path))
            assert answer.status_code in (303, 401), route.path
            assert answer.headers.get("Location", "/login").startswith("/login")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://testserver:81"},
        {"Origin": "http://testserver.evil.example"},
        {"Origin": "http://testserver", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://testserver", "Sec-Fetch-Site": "same-site"},
        {"Origin": "", "Sec-Fetch-Site": "none"},
    ],
)
def test_a_page_of_another_origin_changes_nothing(bench: Bench, headers: dict[str, str]) -> None:
    good = bench.browser()
    form = {"form_token": form_token(good.get("/steer").text), "person": "anna",
            "token": "o" * 43, "reason": "a reason"}  # fmt: skip
    foreign = bench.browser(**headers)
    foreign.cookies.update(good.cookies)
    for path in ("/deeds/rollback", "/login", "/logout"):
        assert foreign.post(path, data=form).status_code == 403
    assert bench.api.changes == []


def test_a_program_that_says_no_origin_at_all_sends_no_form(bench: Bench) -> None:
    browser = bench.browser()
    request = {"Origin": "", "Sec-Fetch-Site": ""}
    assert browser.post("/deeds/rollback", data={}, headers=request).status_code == 403


@pytest.mark.parametrize(
    "host",
    ["evil.example", "testserver.evil.example", "127.0.0.1.evil.example", "", "a:b:c", "[::1"],
)
def test_a_name_that_is_not_ours_is_refused_everywhere(bench: Bench, host: str) -> None:
    """DNS rebinding: a browser says which name its page was loaded from."""
    browser = bench.browser()
    for path in ("/", "/now", "/now.json", "/static/console.css", "/login", "/livez"):
        assert browser.get(path, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8001", "127.0.0.1:8001", "[::1]:8001", "testserver"])
def test_our_own_names_are_answered(bench: Bench, host: str) -> None:
    assert bench.browser().get("/livez", headers={"Host": host}).status_code == 200


def test_every_answer_carries_the_policy_and_pages_are_not_kept(bench: Bench) -> None:
    browser = bench.browser()
    for path in ("/now", "/now.json", "/nowhere", "/runs/99", "/static/console.js", "/login"):
        answer = browser.get(path)
        assert answer.headers["Content-Security-Policy"] == PAGE_POLICY
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] in {"no-store", "no-cache"}
    assert "unsafe" not in PAGE_POLICY


def hostile(value: Any) -> Any:
    """The same with a hostile text wherever a text may be anything."""
    if isinstance(value, str) and not re.match(r"\d{4}-|[0-9a-f]{64}$", value):
        return XSS
    if isinstance(value, dict):
        return {key: hostile(item) for key, item in value.items()}
    return [hostile(item) for item in value] if isinstance(value, list) else value


def poison(bench: Bench) -> int:
    """Put the text into everything that is stored."""
    part = {"state": "degraded", "detail": XSS, "figures": {XSS: XSS}}
    bench.api.answers |= {
        "/current_model": hostile(CURRENT) | {"activated_at": CURRENT["activated_at"]},
        "/models": hostile(MODELS),
        "/api/health": {**HEALTH, "status": "degraded", "components": {XSS: part}},
    }
    numbers = {f"{XSS}.gain": 0.1, f"{XSS}.lower": 0.0, f"{XSS}.upper": 0.2, XSS: XSS}
    drift = {"columns": [{"name": XSS, "effect": 1.0, "floor": 0.5, "alarm": True}],
             "answer": XSS, "page": XSS, "not_checked": {XSS: XSS}}  # fmt: skip
    bench.add_run(jobname="drift", statusmessage=XSS, metrics=drift, championversion=XSS)
    for status in ("RUNNING", "FAILED"):
        round_step = {"step": "round", "number": XSS, "of": XSS, "as_of": XSS, "started_at": XSS}
        bench.add_run(
            jobname="replay", status=status, statusmessage=XSS, requestedby=XSS[:60],
            arguments=dict.fromkeys(("begin", "end", "every", "metric"), XSS),
            metrics={"replay": XSS, "rounds": XSS},
            steps=[{"step": XSS, "rounds": 4, "finished_earlier": XSS}, round_step],
        )  # fmt: skip
    registry = bench.folder / "registry"
    folder = registry / "versions" / "1.0.0"
    folder.mkdir(parents=True)
    manifest = {"use_case": XSS, "description": XSS, "components": [XSS], "metrics": {XSS: 1.0},
                "hyperparameters": {XSS: XSS}, "frameworks": {XSS: XSS}, "thresholds": {XSS: 1.0},
                "feature_names": [XSS],
                "training_data": {"sha256": XSS, "rows": 1, "positives": 1}}  # fmt: skip
    meta = {"version": "1.0.0", "sha256": XSS, "key_id": XSS, "accepted_at_us": 1,
            "size_bytes": 1, "manifest": manifest}  # fmt: skip
    (folder / "meta.json").write_text(json.dumps(meta))
    (folder / "bundle.zip").write_bytes(b"")
    accepted = {"version": "1.0.0", "sha256": XSS, "key_id": XSS, "accepted_at_us": 1,
                "rolled_back_at_us": 2, "rolled_back_reason": XSS}  # fmt: skip
    activation = {"version": "1.0.0", "activated_at_us": 1, "ended": XSS}
    ledger = {"accepted": {"1.0.0": accepted}, "activations": [activation]}
    (registry / "ledger.json").write_text(json.dumps(ledger))
    (registry / "current_version.txt").write_text("1.0.0\n")
    return bench.add_run(
        statuscode=XSS, statusmessage=XSS, requestedby=XSS[:60], modelversion=XSS[:32],
        championversion=XSS[:32], cancelrequestedby=XSS[:60],
        verdicts=[{"gate": XSS, "outcome": XSS, "reason": XSS, "numbers": numbers}],
        steps=[{"step": XSS, "result": XSS, "reason": XSS, "duration_seconds": 1.0}],
        metrics={"candidate": {XSS: 1.0}, "champion": {XSS: 1.0}},
    )  # fmt: skip


def test_no_stored_text_becomes_markup_on_any_page(bench: Bench) -> None:
    run_id, browser = poison(bench), bench.browser()
    paths = [*PAGES, f"/runs/{run_id}", "/versions/1.0.0",
             "/versions/compare?left=1.0.0&right=1.0.0"]  # fmt: skip
    shown = 0
    for path in paths:
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text
        assert "\u202e" not in answer.text
        assert "49" not in re.findall(r"\{\{.{0,9}", answer.text)
        shown += answer.text.count("&lt;script&gt;")
    assert shown > 20


@pytest.mark.parametrize(
    "path",
    [
        "/runs?job=",
        "/schedule?interval=",
        "/rollout?version=",
        "/what-if?begin=",
        "/what-if?begin=2026-01-01&metric=",
        "/what-if?begin=2026-01-01&every=",
    ],
)
def test_no_text_of_an_address_becomes_markup(bench: Bench, path: str) -> None:
    answer = bench.browser().get(path + "%3Cscript%3E%22onload%3Dx%3E")
    assert '<script>"' not in answer.text
    assert '"onload' not in answer.text


def test_a_cell_that_a_spreadsheet_would_compute_is_text(bench: Bench) -> None:
    bench.add_run(statusmessage='=HYPERLINK("http://evil.example","x")')
    assert "'=HYPERLINK" in bench.browser().get("/runs.csv").text


@pytest.mark.parametrize(
    "path",
    [
        "/runs/0", "/runs/99999999999999999999999", "/runs/-1", "/runs/1%00",
        "/versions/1.0.0%2f..%2f..", "/versions/%2e%2e%2fkeys",
        "/reports/candidate/..%2f..%2fkeys", "/reports/candidate/1.0", "/reports/candidate/1.0.0",
        "/reports/drift/..%2f..%2fetc%2fpasswd",
        "/reports/drift/drift_run_1.html%00", "/reports/drift/drift_run_1.json", "/reports/run/9",
        "/static/..%2fapp.py", "/deeds/nothing", "/nowhere",
    ],
)  # fmt: skip
def test_an_address_that_means_nothing_is_not_found(bench: Bench, path: str) -> None:
    answer = bench.browser().get(path)
    assert answer.status_code in (404, 405, 422), answer.text


@pytest.mark.parametrize(
    "query",
    [
        "before=-1",
        "before=x",
        "before=1e9",
        "before=" + "9" * 30,
        "status=%27OR",
        "job=" + "x" * 65,
    ],
)
def test_a_parameter_that_cannot_be_is_named(bench: Bench, query: str) -> None:
    for ending in ("", ".json", ".csv"):
        answer = bench.browser().get(f"/runs{ending}?{query}")
        assert answer.status_code == 422
        assert query.partition("=")[0] in answer.text


def test_reports_are_opened_without_scripts_and_not_through_links(bench: Bench) -> None:
    folder = bench.folder / "candidates" / "1.0.1"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<script>alert(1)</script>")
    browser = bench.browser()
    answer = browser.get("/reports/candidate/1.0.1")
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "sandbox" in policy.split("; ")
    assert "script" not in policy
    (folder / "report.html").unlink()
    (folder / "report.html").symlink_to(bench.folder / "keys" / "console" / "console.token")
    assert browser.get("/reports/candidate/1.0.1").status_code == 404


def test_a_report_of_fifty_megabytes_is_sent_in_pieces(bench: Bench, tmp_path: Path) -> None:
    folder = bench.folder / "candidates" / "1.0.1"
    folder.mkdir(parents=True)
    size = 50 * 1024 * 1024
    with (folder / "report.html").open("wb") as file:
        file.truncate(size)
    sizes: list[int] = []

    async def send(message: Any) -> None:
        sizes.append(len(message.get("body", b"")))

    async def receive() -> Any:
        await asyncio.Event().wait()  # a browser that stays

    scope = {
        "type": "http", "method": "GET", "path": "/reports/candidate/1.0.1", "query_string": b"",
        "headers": [(b"host", b"testserver")], "scheme": "http", "server": ("testserver", 80),
        "raw_path": b"/reports/candidate/1.0.1", "root_path": "", "http_version": "1.1",
    }  # fmt: skip
    bench.runner.run(bench.wired.app(scope, receive, send))
    assert sum(sizes) == size
    assert max(sizes) <= 1024 * 1024


def test_a_run_with_a_million_figures_is_a_page_of_bounded_size(bench: Bench) -> None:
    numbers = {f"figure {n}": n for n in range(100_000)}
    gate = {"gate": "metrics", "outcome": "PASS", "reason": "x" * 100_000, "numbers": numbers}
    steps = [{"step": f"s{n}", "duration_seconds": 1.0, "result": "ok"} for n in range(50_000)]
    run_id = bench.add_run(verdicts=[gate] * 5, steps=steps)
    answer = bench.browser().get(f"/runs/{run_id}")
    assert answer.status_code == 200
    assert len(answer.content) < 4 * 1024 * 1024


def test_a_million_runs_are_a_page_of_fifty(bench: Bench) -> None:
    with bench.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO modeltrainingruns (rundate, jobname, scheduledfor, status) "
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) "
            "SELECT '2026', 'retraining', i, 'REFUSED' FROM n"
        )
    started = time.monotonic()
    answer = bench.browser().get("/runs")
    assert answer.text.count('<th scope="row"') == 50
    assert "before=199951" in answer.text
    assert time.monotonic() - started < 30


def test_a_form_that_is_too_large_or_no_form_is_refused(bench: Bench) -> None:
    browser = bench.browser()
    assert browser.post("/login", data={"token": "x" * 20_000}).status_code == 413
    assert browser.post("/login", json={"token": "x"}).status_code == 415
    assert browser.post("/login", files={"token": b"x"}).status_code == 415
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert browser.post("/login", content=b"\xff\xfe=1", headers=kind).status_code == 400
    many = "&".join(f"a{n}=1" for n in range(100)).encode()
    assert browser.post("/login", content=many, headers=kind).status_code == 400


def test_a_damaged_registry_is_said_and_the_rest_is_shown(bench: Bench) -> None:
    registry = bench.folder / "registry"
    (registry / "ledger.json").write_text("{ not json")
    (registry / "current_version.txt").write_bytes(b"\xff\x00../../x")
    answer = bench.browser().get("/versions")
    assert answer.status_code == 200
    assert "The files could not be read" in answer.text
    assert bench.browser().get("/now").status_code == 200


def test_an_answer_of_the_api_that_is_huge_or_broken_is_a_trouble_of_the_page(
    bench: Bench,
) -> None:
    bench.api.answers["/current_model"] = {"version": "1.0.1"}
    bench.api.answers["/models"] = {"models": [{"x": "y" * (17 * 1024 * 1024)}]}
    answer = bench.browser().get("/steer")
    assert answer.status_code == 200
    assert answer.text.count("The API could not be read") == 2
