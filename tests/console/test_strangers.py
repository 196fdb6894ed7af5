"""Further attacks: odd addresses and headers, stored texts of a trial, folders that are links."""

from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import insert

from console.screens.catalogue import SCREENS
from shared.tables.schema import api_transaction_logs, job_schedules, rollout_looks
from tests.support.console_bench import OPERATOR_TOKEN, Bench, form_token
from tests.support.console_evidence import logged_in

XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202e{{7*7}}"
PAGES = [screen.path for screen in SCREENS if screen.in_navigation]
PARAMETERS = ("id", "job", "status", "before", "version", "left", "right", "interval", "begin",
              "every", "metric", "next")  # fmt: skip
VALUES = [
    "", " ", "0", "-1", "1e9", "9" * 16, "9" * 5_000, "\N{ARABIC-INDIC DIGIT FIVE}", "NaN",
    "null", "\x00", "\x7f\x1b[31m", "\ud7ff\uffff", "..", "../" * 40, "/", "\\", "%2e%2e", "//[",
    "javascript:alert(1)", "' OR 1=1 --", "{{7*7}}", "${7*7}", "a" * 300, "1.0.0",
    "9999999999.0.0", "9000Y", "P999Y", "9999W", "PT999999999S", "TZ=../../etc/passwd 1D",
    "TZ=Europe 1D", "@reboot", "0 0 29 2 1", "* * * * *", "0001-01-01", "9999-12-31T23:59:59Z",
    "2026-01-01T00:00:00+23:59", "2026-01-01", "0000-00-00",
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_no_parameter_breaks_a_page(bench: Bench, value: str) -> None:
    browser, given = logged_in(bench), quote(value, safe="")
    # one by one: the first that is refused hides the others
    for path in (*PAGES, "/versions/compare", "/login"):
        answer = browser.get(f"{path}?{'&'.join(f'{name}={given}' for name in PARAMETERS)}")
        assert answer.status_code in (200, 404, 422), path
    for path in ("/schedule?interval", "/what-if?begin", "/what-if?begin=1900-01-01&every",
                 "/what-if?begin=2500-12-31&every", "/rollout?version", "/trail?before",
                 "/versions/compare?left", "/decisions?id", "/runs?job"):  # fmt: skip
        assert browser.get(f"{path}={given}").status_code in (200, 404, 422), path


def test_a_schedule_without_a_date_is_refused_with_the_limit(bench: Bench) -> None:
    page = bench.browser().get("/schedule?interval=9000Y").text
    assert "too long an interval; at most 100 years" in page
    answer = bench.browser().get("/what-if?begin=0001-01-01")
    assert answer.status_code == 422
    assert "from 1900 to 2500" in answer.text


@pytest.mark.parametrize("path", ["/runs/", "/reports/run/"])
@pytest.mark.parametrize("number", ["9" * 5_000, "9" * 17, "\N{ARABIC-INDIC DIGIT FIVE}", "+1"])
def test_a_number_that_no_row_has_is_not_found(bench: Bench, path: str, number: str) -> None:
    for ending in ("", ".json", ".csv"):
        assert bench.browser().get(f"{path}{quote(number)}{ending}").status_code == 404


@pytest.mark.parametrize(
    "target", ["//[", "/\\evil.example", "//evil.example/", "/\t/evil.example", "/x" * 400, "[", ""]
)
def test_a_login_that_names_no_page_leads_to_the_first(closed: Bench, target: str) -> None:
    browser = closed.browser()
    page = browser.get(f"/login?next={quote(target)}")
    assert page.status_code == 200
    form = {"form_token": form_token(page.text), "token": closed.token, "next": target}
    assert browser.post("/login", data=form).headers["Location"] == "/now"


def test_a_very_long_address_leads_to_the_login_with_a_short_one(closed: Bench) -> None:
    answer = closed.browser().get(f"/runs?job={'x' * 30_000}")
    assert answer.status_code == 303
    assert len(answer.headers["Location"]) < 2_000


@pytest.mark.parametrize("referer", ["http://[", "http://testserver//evil.example/", "\\\\x", ""])
def test_no_referer_hides_that_a_change_was_made(bench: Bench, referer: str) -> None:
    browser = bench.browser()
    form = {"form_token": form_token(browser.get("/steer").text), "person": "anna",
            "token": OPERATOR_TOKEN, "reason": "a reason", "version": "1.0.0"}  # fmt: skip
    answer = browser.post("/deeds/rollback", data=form, headers={"Referer": referer})
    # the API was asked, and refused
    assert answer.status_code == 409
    assert len(bench.api.changes) == 1
    assert 'href="/now"' in answer.text


def test_an_address_as_long_as_any_can_be_is_a_page(bench: Bench) -> None:
    for path in PAGES:
        answer = bench.browser().get(f"{path}?{'x=%3C&' * 4_000}")
        assert answer.status_code == 200, path
        assert len(answer.content) < 1024 * 1024


def test_every_page_answers_a_head_as_it_answers_a_get(bench: Bench) -> None:
    for path in PAGES:
        for ending in ("", ".json", ".csv"):
            answer = bench.browser().request("HEAD", path + ending)
            assert (answer.status_code, answer.content) == (200, b"")


def test_no_stored_text_of_a_trial_a_schedule_or_a_decision_becomes_markup(bench: Bench) -> None:
    tests = [{"name": XSS, "p_value": 0.5, "limit": 0.1, "is_rejected": True}]
    look = {"version": XSS[:32], "champion": XSS[:32], "beganat": 1, "lookedat": 2,
            "mode": XSS[:16], "sharepercent": 5, "step": XSS[:16], "code": XSS[:64], "reason": XSS,
            "arms": {"candidate": {XSS: XSS}, "champion": {}}, "tests": tests}  # fmt: skip
    job = {"jobname": XSS[:64], "interval": XSS[:64], "isenabled": 1, "anchor": 1,
           "inforcesince": 1, "answeredto": 1, "nextdue": 2, "checkedat": 1,
           "problem": XSS}  # fmt: skip
    row = {"transaction_id": XSS, "user_id": XSS, "event_time": 2, "ingested_at": 2, "amount": 1.0,
           "currency": "EUR", "merchant_id": XSS, "transaction_type": "purchase", "score": 0.5,
           "decision": XSS[:16], "matched_rules": [XSS], "reason_codes": [{"code": XSS}],
           "model_version": XSS[:32], "latency_ms": 1.0}  # fmt: skip
    with bench.engine.begin() as connection:
        connection.execute(insert(rollout_looks).values(look))
        connection.execute(insert(rollout_looks).values({**look, "version": "1.0.9"}))
        connection.execute(insert(job_schedules).values(job))
        connection.execute(insert(api_transaction_logs).values(row))
    shown = 0
    for path in ("/now", "/rollout", f"/rollout?version={quote(XSS[:32])}", "/schedule", "/traffic",
                 "/steer", "/promise", "/drift"):  # fmt: skip
        page = bench.browser().get(path)
        assert page.status_code == 200, path
        for text in ("<script>alert", "<img", "\u202e"):
            assert text not in page.text, path
        shown += page.text.count("&lt;script&gt;")
    assert shown > 8


def test_no_report_is_read_through_a_folder_that_is_a_link(bench: Bench, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("report.html", "run_1.html", "drift_run_1.html", "replay.html"):
        (elsewhere / name).write_text("secret")
    for root in (bench.folder / "candidates", bench.settings.replay_dir):
        root.mkdir(exist_ok=True)
    (bench.folder / "candidates" / "1.0.1").symlink_to(elsewhere)
    (bench.folder / "candidates" / "no_candidate").symlink_to(elsewhere)
    (bench.settings.replay_dir / "r").symlink_to(elsewhere)
    browser = bench.browser()
    for path in ("/reports/candidate/1.0.1", "/reports/run/1", "/reports/replay/r"):
        assert browser.get(path).status_code == 404, path


def test_many_ranges_of_a_report_are_no_more_than_the_report(bench: Bench) -> None:
    folder = bench.folder / "candidates" / "1.0.1"
    folder.mkdir(parents=True)
    (folder / "report.html").write_bytes(b"x" * 1_000_000)
    ranges = ",".join("0-" for _ in range(3_000))
    answer = bench.browser().get("/reports/candidate/1.0.1", headers={"Range": f"bytes={ranges}"})
    assert answer.status_code in (200, 206, 400, 416)
    assert len(answer.content) <= 1_100_000
