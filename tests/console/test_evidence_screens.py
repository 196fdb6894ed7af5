"""Decision, Approvals, Promise kept, Trail, Dossier and What if: what they show, and to whom."""

import json
from typing import Any

import pytest
from sqlalchemy import insert

from shared.clock import SystemClock
from shared.tables.approvals import WantedApproval, hold
from shared.tables.runs import claim_next, request_run
from shared.tables.schema import api_transaction_logs, data_changes
from tests.support.console_bench import MODELS, OPERATOR_TOKEN, Bench, form_token
from tests.support.console_evidence import AT, DECISION, entry, hold_one, logged_in, trail

XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


@pytest.mark.parametrize("path", ["/decisions?id=t-1", "/trail", "/dossier/1.0.1"])
@pytest.mark.parametrize("end", ["", ".json", ".csv"])
def test_what_is_about_people_is_shown_to_nobody_without_a_session(
    bench: Bench, path: str, end: str
) -> None:
    bench.api.answers |= {"/decisions/t-1": DECISION, "/audit": trail(entry(1))}
    page, _, query = path.partition("?")
    answer = bench.browser().get(f"{page}{end}{'?' + query if query else ''}")
    assert answer.status_code == 200
    for word in ("950", "shop-a", "anna", "u-1"):
        assert word not in answer.text
    asked = {request.url.path for request in bench.api.requests}
    assert not asked & {"/decisions/t-1", "/audit"}


def test_a_decision_is_told_with_rules_thresholds_contributions_label_and_champion(
    bench: Bench,
) -> None:
    bench.api.answers["/decisions/t-1"] = DECISION
    page = logged_in(bench).get("/decisions?id=t-1").text
    for text in ("BIG: amount=950", "0.9400", "3.9400", "chargeback", "1.0.2", "log_odds",
                 "autoencoder is not explained: it is not made of trees", "shop-a"):  # fmt: skip
        assert text in page
    asked = [one for one in bench.api.requests if one.url.path == "/decisions/t-1"]
    assert asked[0].headers["Authorization"] == f"Bearer {bench.token}"
    table = logged_in(bench).get("/decisions.csv?id=t-1").text
    assert "amount" in table


def test_the_newest_decisions_lead_to_each_and_one_kind_can_be_chosen(bench: Bench) -> None:
    rows = [
        {"transaction_id": f"t/{i}", "user_id": "u", "amount": 1.0, "currency": "EUR",
         "merchant_id": "m", "transaction_type": "purchase", "model_version": "1.0.1",
         "event_time": i, "ingested_at": i, "score": i / 100, "latency_ms": 1.0,
         "decision": "block" if i % 10 == 0 else "approve"}
        for i in range(1, 61)
    ]  # fmt: skip
    with bench.engine.begin() as connection:
        connection.execute(insert(api_transaction_logs), rows)
    assert "t/60" not in bench.browser().get("/decisions").text
    browser = logged_in(bench)
    page = browser.get("/decisions").text
    assert page.index("/decisions?id=t/60") < page.index("/decisions?id=t/59")
    assert "(54)" in page
    assert "/decisions?decision=block" in page
    blocked = browser.get("/decisions.json?decision=block").json()["recent"]
    assert [one["row_id"] for one in blocked] == [f"t/{i}" for i in range(60, 0, -10)]
    assert browser.get("/decisions.csv?decision=block").text.count("block") == 6


def test_an_unknown_row_is_said_to_be_unknown_and_any_id_is_asked_for_as_one_segment(
    bench: Bench,
) -> None:
    browser = logged_in(bench)
    page = browser.get("/decisions?id=../../models").text
    assert "could not be read" in page
    assert [one.url.raw_path for one in bench.api.requests][-1] == b"/decisions/..%2F..%2Fmodels"


def test_a_candidate_that_waits_is_approved_with_its_evidence_beside_the_button(
    bench: Bench,
) -> None:
    run_id = hold_one(bench)
    browser = bench.browser()
    page = browser.get("/approvals").text
    for text in ("1.0.2 passed every gate against 1.0.1", f"/runs/{run_id}", "a gain", "0.850"):
        assert text in page
    bench.api.answers["/approve_model"] = {
        "run_id": run_id, "version": "1.0.2", "sha256": "c" * 64, "champion": "1.0.1",
        "state": "approved", "requested_at": AT, "expires_at": AT, "decided_at": AT,
        "decided_by": "operator/anna", "reason": "gains",
    }  # fmt: skip
    form = {"form_token": form_token(page), "version": "1.0.2", "sha256": "c" * 64,
            "reason": "gains everywhere", "person": "anna", "token": OPERATOR_TOKEN}  # fmt: skip
    answer = browser.post("/deeds/approve-model", data=form)
    assert "1.0.2 is approved" in answer.text
    [sent] = bench.api.changes
    assert json.loads(sent.content) == {
        "version": "1.0.2", "reason": "gains everywhere", "sha256": "c" * 64,
    }  # fmt: skip
    assert sent.headers["X-Person"] == "anna"
    wrong = browser.post("/deeds/refuse-model", data={**form, "token": "x" * 43})
    assert wrong.status_code == 409


def test_the_trail_says_whether_the_chain_is_whole_and_leads_to_dossiers(bench: Bench) -> None:
    bench.api.answers["/audit"] = trail(entry(2), entry(1))
    with bench.engine.begin() as connection:
        row = {"kind": "fix", "changedat": AT, "changedby": "bela", "reason": "a typo"}
        connection.execute(insert(data_changes).values(row))
    browser = logged_in(bench)
    page = browser.get("/trail").text
    for text in ("The chain is whole", "operator/anna", "/dossier/1.0.0", "a typo"):
        assert text in page
    bench.api.answers["/audit"] = trail(entry(2, follows=False), entry(1), is_whole=False)
    bench.wired.sources.reads.forget()
    assert "tampered with: see lines 2" in browser.get("/trail").text


def test_a_dossier_tells_card_gates_people_and_trail_and_what_is_missing(bench: Bench) -> None:
    hold_one(bench, "1.0.1")
    bench.api.answers["/audit"] = trail(entry(2), entry(1, version="9.9.9", details={}))
    browser = logged_in(bench)
    page = browser.get("/dossier/1.0.1").text
    for text in ("Dossier of 1.0.1", "a gain", "operator/anna", "serving", "waiting"):
        assert text in page
    assert "9.9.9" not in page
    bench.api.is_away = True
    bench.wired.sources.reads.forget()
    assert "Not available" in browser.get("/dossier/1.0.0").text
    assert browser.get("/dossier/nonsense").status_code == 404


def test_a_promise_that_is_not_kept_is_said_with_both_figures(bench: Bench) -> None:
    estimate = {"mean": 0.8, "low": 0.75, "high": 0.85}
    expected_values = {"promised": {"average_precision": estimate, "rows": 500},
               "matured": {"average_precision": 0.5, "rows": 500},
               "held_out": {"average_precision": 0.81}, "expected": None}  # fmt: skip
    bench.add_run(jobname="drift", status="SUCCEEDED", metrics={"outlook": expected_values})
    numbers = {"compared": True, "alpha_left": 0.0421}
    bench.add_run(
        verdicts=[{"gate": "metrics", "outcome": "FAIL", "reason": "", "numbers": numbers}]
    )
    page = bench.browser().get("/promise").text
    assert "The promise is not kept" in page
    assert "0.750 to 0.850" in page
    assert "4.21%" in page
    told = bench.browser().get("/promise.json").json()
    kept = {one["metric"]: one["is_kept"] for one in told["measured"]}
    assert kept == {"average_precision": False, "auc": None}


def test_label_coverage_is_that_of_each_age_and_the_delay_is_in_days(bench: Bench) -> None:
    base = {"user_id": "u", "amount": 1.0, "currency": "EUR", "merchant_id": "m",
            "transaction_type": "purchase", "model_version": "1.0.1"}  # fmt: skip
    day, now = 86_400_000_000, SystemClock.now_us()
    rows = [
        {**base, "transaction_id": f"t{i}", "event_time": i * day, "ingested_at": i * day,
         "label": 0 if i < 5 else None, "label_known_at": (i + 7) * day if i < 5 else None}
        for i in range(10)
    ]  # fmt: skip
    rows += [
        {**base, "transaction_id": f"new{i}", "event_time": now - i * day, "label": None,
         "ingested_at": now - i * day, "label_known_at": None}
        for i in range(3)
    ]  # fmt: skip
    with bench.engine.begin() as connection:
        connection.execute(insert(api_transaction_logs), rows)
    coverage = bench.browser().get("/promise.json").json()["coverage"]
    ages = [(one["from_days"], one["until_days"], one["rows"], one["labelled"])
            for one in coverage["ages"]]  # fmt: skip
    assert ages == [(0, 1, 1, 0), (1, 7, 2, 0), (90, None, 10, 5)]
    assert coverage["delay_days"] == 7.0
    page = bench.browser().get("/promise").text
    for text in ("less than a day ago", "more than 90 days ago", "50.0%", "within 7 days"):
        assert text in page


def test_replays_are_compared_and_the_command_of_another_is_composed(bench: Bench) -> None:
    folder = bench.settings.replay_dir / "weekly"
    folder.mkdir(parents=True)
    summary = {"every": "1W", "from": "2026-01-01", "to": None, "metric": "auc", "rounds": 12,
               "protocol": "policy", "verdict": "the gate was right 11 times",
               "policies": {"gate": {"promotions": 3, "auc": 0.91}}}  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary))
    browser = bench.browser()
    page = browser.get("/what-if?begin=2026-02-01&every=1D&metric=auc").text
    assert "the gate was right 11 times" in page
    assert "understudy replay --from 2026-02-01 --every" in page
    for bad in ("begin=;rm&every=1D", "begin=2026-01-01&every=nonsense",
                "begin=2026-01-01&every=1D&metric=$(id)"):  # fmt: skip
        assert browser.get(f"/what-if?{bad}").status_code == 422


def test_a_replay_is_started_from_its_plan_in_the_name_of_a_person(bench: Bench) -> None:
    browser = bench.browser()
    bench.api.answers["/api/mlops/replays"] = {"run_id": 7, "status": "REQUESTED"}
    page = browser.get("/what-if?begin=2026-01-01&every=2W").text
    assert 'action="/deeds/start-replay"' in page
    form = {"form_token": form_token(page), "begin": "2026-01-01", "every": "2W", "metric": "",
            "reason": "is it often enough?", "person": "anna", "token": OPERATOR_TOKEN}  # fmt: skip
    answer = browser.post("/deeds/start-replay", data=form)
    assert answer.status_code == 200
    assert "The replay is run 7" in answer.text
    sent = bench.api.changes[-1]
    assert json.loads(sent.content) == {
        "begin": "2026-01-01", "every": "2W", "reason": "is it often enough?",
    }  # fmt: skip
    assert sent.headers["X-Person"] == "anna"
    for wrong in ({"begin": "soon"}, {"every": "often"}, {"metric": "$(id)"}):
        refused = browser.post("/deeds/start-replay", data={**form, **wrong})
        assert refused.status_code == 422
    assert len(bench.api.changes) == 1
    assert "choose a longer interval" in browser.get("/what-if?begin=2020-01-01&every=1H").text
    assert "choose an earlier first day" in browser.get("/what-if?begin=2126-01-01&every=1W").text


def test_a_replay_in_progress_says_which_round_since_when_and_until_when(bench: Bench) -> None:
    asked = {"begin": "2026-01-01", "every": "1W"}
    steps = [
        {"step": "read_history", "started_at": AT, "duration_seconds": 3.0, "result": "ok",
         "rounds": 4, "finished_earlier": 1},
        {"step": "round", "number": 2, "of": 4, "started_at": AT, "duration_seconds": 60.0,
         "as_of": "2026-01-08T00:00:00Z", "result": "ok"},
        {"step": "round", "number": 3, "of": 4, "started_at": AT, "result": "running",
         "as_of": "2026-01-15T00:00:00Z"},
    ]  # fmt: skip
    row = {"jobname": "replay", "arguments": asked, "steps": steps, "modelversion": None}
    run_id = bench.add_run(**row, status="RUNNING", finishedat=None, statusmessage=None)
    browser = bench.browser()
    page = browser.get("/what-if").text
    for text in ("2 of 4", "runs round 3 of 4, as of 2026-01-15", "Its end is expected about",
                 f"Cancel the replay of run {run_id}"):  # fmt: skip
        assert text in page
    told = browser.get("/what-if.json").json()["runs"][0]
    assert (told["done"], told["total"], told["is_unfinished"]) == (2, 4, True)
    assert "round 3 of 4" in browser.get(f"/runs/{run_id}").text


def test_a_finished_replay_leads_to_its_report_and_to_no_other_file(bench: Bench) -> None:
    folder = bench.settings.replay_dir / "a1b2c3"
    folder.mkdir(parents=True)
    (folder / "replay.html").write_text("<p>rounds</p>")
    bench.add_run(jobname="replay", status="SUCCEEDED", statusmessage="the gate was right",
                  metrics={"replay": "a1b2c3", "rounds": 4}, modelversion=None)  # fmt: skip
    browser = bench.browser()
    assert 'href="/reports/replay/a1b2c3"' in browser.get("/what-if").text
    shown = browser.get("/reports/replay/a1b2c3")
    assert (shown.status_code, shown.text) == (200, "<p>rounds</p>")
    assert "sandbox" in shown.headers["Content-Security-Policy"]
    (bench.settings.replay_dir / "linked").symlink_to(folder)
    for name in ("..", "%2e%2e", "..%2fcandidates", "a1b2c3%00", "none", ".hidden"):
        assert browser.get(f"/reports/replay/{name}").status_code == 404


def hostile(value: Any) -> Any:
    if isinstance(value, str) and not value.startswith("2026-"):
        return XSS
    if isinstance(value, dict):
        return {key: hostile(item) for key, item in value.items()}
    return [hostile(item) for item in value] if isinstance(value, list) else value


def test_no_stored_text_becomes_markup_on_these_pages(bench: Bench) -> None:
    bench.api.answers |= {
        "/decisions/t-1": hostile(DECISION),
        "/audit": trail(entry(1, who=XSS, why=XSS, what=XSS, version="1.0.1", details={XSS: XSS})),
        "/models": {"models": [{**hostile(MODELS["models"][0]), "version": "1.0.1"}]},
    }
    run_id = request_run(bench.engine, "retraining", 1, XSS[:60])
    run = claim_next(bench.engine)
    assert run is not None
    said = {
        "statusmessage": XSS, "modelversion": "1.0.1", "metrics": {"candidate": {XSS: 1.0}},
        "verdicts": [{"gate": XSS, "outcome": XSS, "reason": XSS, "numbers": {}}],
    }  # fmt: skip
    wanted = WantedApproval("1.0.1", "c" * 64, XSS[:32], 3_600.0)
    assert hold(bench.engine, run_id, run.fencing_number or 0, wanted, said)
    folder = bench.settings.replay_dir / "r"
    folder.mkdir(parents=True)
    replay = {"every": XSS, "from": XSS, "metric": XSS, "verdict": XSS,
              "policies": {XSS: {"promotions": 1}}}  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(replay))
    browser, shown = logged_in(bench), 0
    for path in ("/decisions?id=t-1", "/approvals", "/trail", "/dossier/1.0.1", "/what-if",
                 "/promise"):  # fmt: skip
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text
        shown += answer.text.count("&lt;script&gt;")
    assert shown > 20
