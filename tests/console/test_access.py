"""Sessions, forms and deeds: who reads, who changes something, and with which words."""

import json

import pytest

from console.access import COOKIE, MOST_SESSIONS, Sessions
from console.screens.catalogue import DEEDS, SCREENS
from console.settings import ConsoleSettings
from tests.support.console_bench import OPERATOR_TOKEN, Bench, Browser, form_token

PATHS = [screen.path for screen in SCREENS if screen.in_navigation]
WHO = {"person": "anna", "token": OPERATOR_TOKEN, "reason": "blocks too much"}
CHANGED = {
    "version": "1.0.0", "previous": "1.0.1", "activated_at": "2026-11-21T03:00:00Z",
    "workers": {"serving": 1, "total": 1, "failed": []}, "partial": False, "rollout": "immediate",
}  # fmt: skip


def log_in(bench: Bench, browser: Browser) -> None:
    page = browser.get("/login").text
    form = {"token": bench.token, "form_token": form_token(page), "next": "/runs"}
    answer = browser.post("/login", data=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/runs")


@pytest.mark.parametrize("path", PATHS)
def test_where_reading_needs_a_token_a_page_leads_to_the_login_and_back(
    closed: Bench, path: str
) -> None:
    browser = closed.browser()
    answer = browser.get(f"{path}?before=7")
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/login?next=%2F")
    for ending in (".json", ".csv"):
        assert browser.get(f"{path}{ending}").status_code == 401
    log_in(closed, browser)
    assert browser.get(path).status_code == 200


def test_a_wrong_token_opens_nothing_and_too_many_are_refused_before_they_are_compared(
    closed: Bench,
) -> None:
    browser = closed.browser()
    page = browser.get("/login").text
    form = {"token": "guess", "form_token": form_token(page)}
    texts = [browser.post("/login", data=form).text for _ in range(32)]
    assert "this is not the token" in texts[0]
    assert "too many attempts" in texts[-1]
    assert browser.get("/now").status_code == 303
    log_in(closed, browser)  # the right one passes all the same


def test_a_login_gives_a_new_cookie_and_the_one_before_means_nothing(closed: Bench) -> None:
    """No fixation: whoever planted the cookie of a visitor has no session after the login."""
    attacker, victim = closed.browser(), closed.browser()
    attacker.get("/login")
    planted = attacker.cookies[COOKIE]
    victim.cookies.set(COOKIE, planted, domain="testserver.local", path="/")
    page = victim.request("GET", "/login", headers={"Cookie": f"{COOKIE}={planted}"}).text
    form = {"token": closed.token, "form_token": form_token(page)}
    answer = closed.browser().post("/login", data=form, headers={"Cookie": f"{COOKIE}={planted}"})
    assert answer.status_code == 303
    fresh = answer.cookies[COOKIE]
    assert fresh != planted
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert "samesite=strict" in answer.headers["Set-Cookie"].lower()
    assert closed.browser(Cookie=f"{COOKIE}={planted}").get("/now").status_code == 303
    assert closed.browser(Cookie=f"{COOKIE}={fresh}").get("/now").status_code == 200


def test_a_logout_ends_the_session_on_the_server(closed: Bench) -> None:
    browser = closed.browser()
    log_in(closed, browser)
    cookie, page = browser.cookies[COOKIE], browser.get("/now").text
    assert browser.post("/logout", data={"form_token": "forged"}).status_code == 403
    assert browser.post("/logout", data={"form_token": form_token(page)}).status_code == 303
    assert closed.browser(Cookie=f"{COOKIE}={cookie}").get("/now").status_code == 303


def test_a_session_ends_when_nobody_uses_it_and_the_number_of_sessions_is_bounded() -> None:
    now = [0.0]
    sessions = Sessions(60.0, lambda: now[0])
    first = sessions.begin(None)
    now[0] = 59.0
    assert sessions.is_logged_in(first)
    now[0] = 118.0
    assert sessions.is_logged_in(first)
    now[0] = 200.0
    assert not sessions.is_logged_in(first)
    cookies = [sessions.begin(None) for _ in range(MOST_SESSIONS + 5)]
    alive = [cookie for cookie in cookies if sessions.is_logged_in(cookie)]
    assert alive == cookies[5:]


@pytest.mark.parametrize(
    ("host", "auth", "reach", "is_open"),
    [
        ("127.0.0.1", "off", "loopback", True), ("127.0.0.1", "on", "loopback", False),
        ("0.0.0.0", "off", "loopback", False), ("0.0.0.0", "off", "private-network", True),
        ("::1", "off", "loopback", True), ("0.0.0.0", "on", "anywhere", False),
        ("console.example", "off", "loopback", False),
    ],
)  # fmt: skip
def test_reading_is_open_only_where_the_apis_is(
    host: str, auth: str, reach: str, is_open: bool
) -> None:
    settings = ConsoleSettings(console_host=host, scoring_auth=auth, open_scoring_reach=reach)
    assert settings.reading_is_open is is_open


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "now"]
)
def test_a_login_leads_to_no_other_place(closed: Bench, target: str) -> None:
    browser = closed.browser()
    page = browser.get("/login", params={"next": target}).text
    form = {"token": closed.token, "form_token": form_token(page), "next": target}
    assert browser.post("/login", data=form).headers["Location"] == "/now"


def test_a_rollback_is_asked_of_the_api_in_the_name_of_the_person(bench: Bench) -> None:
    bench.api.answers["/rollback_model"] = CHANGED
    browser = bench.browser()
    form = {"form_token": form_token(browser.get("/steer").text), "leaving": "1.0.1", **WHO}
    answer = browser.post("/deeds/rollback", data=form | {"person": "Zoë K."})
    assert answer.status_code == 200
    assert "1.0.0 is live, no longer 1.0.1." in answer.text
    (change,) = bench.api.changes
    assert change.headers["X-Person"] == "Zo%C3%AB%20K."
    assert json.loads(change.content) == {"reason": "blocks too much", "leaving": "1.0.1"}
    assert OPERATOR_TOKEN not in answer.text


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"token": "x" * 43}, 409, "not the operator&#39;s token"),
        ({"token": ""}, 422, "operator&#39;s token: paste"),
        ({"token": "tökén"}, 422, "operator&#39;s token: paste"),
        ({"person": ""}, 422, "your name"),
        ({"person": "a/b"}, 422, "your name"),
        ({"person": "<script>"}, 422, "your name"),
        ({"reason": "no"}, 422, "reason"),
        ({"reason": "x" * 501}, 422, "reason"),
        ({"form_token": "f" * 64}, 403, "another visitor"),
        ({"version": "x" * 65}, 422, "To version"),
    ],
)
def test_a_form_that_lacks_something_names_it_and_changes_nothing(
    bench: Bench, change: dict[str, str], status: int, text: str
) -> None:
    browser = bench.browser()
    form = {"form_token": form_token(browser.get("/steer").text), **WHO}
    answer = browser.post("/deeds/rollback", data=form | change)
    assert (answer.status_code, text in answer.text) == (status, True), answer.text
    assert [
        one for one in bench.api.changes if one.headers["Authorization"].endswith("o" * 43)
    ] == []


def test_an_api_that_does_not_answer_changes_nothing_and_it_is_said(bench: Bench) -> None:
    browser = bench.browser()
    form = {"form_token": form_token(browser.get("/steer").text), **WHO}
    bench.api.is_away = True
    answer = browser.post("/deeds/rollback", data=form)
    assert (answer.status_code, "nothing was changed" in answer.text) == (502, True)


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.name)
def test_every_deed_needs_the_operators_token(bench: Bench, deed: object) -> None:
    name = getattr(deed, "name", "")
    browser = bench.browser()
    more = {"version": "1.0.0", "run_id": "7", "interval": "1D", "from_share_percent": "5",
            "begin": "2026-01-01", "every": "1W"}  # fmt: skip
    form = {"form_token": form_token(browser.get("/steer").text), **WHO, **more}
    answer = browser.post(f"/deeds/{name}", data=form | {"token": "y" * 43})
    assert answer.status_code == 409
    assert "nothing was changed" in answer.text
    assert {one.headers["Authorization"] for one in bench.api.changes} <= {f"Bearer {'y' * 43}"}


def test_nothing_is_changed_for_whoever_has_no_session_where_reading_needs_one(
    closed: Bench,
) -> None:
    browser = closed.browser()
    form = {"form_token": form_token(browser.get("/login").text), **WHO}
    answer = browser.post("/deeds/rollback", data=form)
    assert (answer.status_code, closed.api.changes) == (303, [])
    assert answer.headers["Location"].startswith("/login")


def test_the_token_of_the_console_reads_from_an_api_that_is_closed(closed: Bench) -> None:
    browser = closed.browser()
    log_in(closed, browser)
    browser.get("/now")
    asked = {request.headers.get("Authorization") for request in closed.api.requests}
    assert asked == {f"Bearer {closed.token}"}
