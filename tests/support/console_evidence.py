"""A decision, lines of the trail, a candidate that waits, and a person who has logged in."""

from collections.abc import Mapping
from typing import Any

from shared.tables.approvals import WantedApproval, hold
from tests.support.console_bench import Bench, Browser, form_token

AT = "2026-11-20T03:00:00.000000Z"
ANSWER = {"path": "/predict", "decision": "approve", "score": 0.1, "matched_rules": [],
          "reason_codes": []}  # fmt: skip
THRESHOLD = {"name": "review", "threshold": 0.5, "compared_with": "score", "value": 0.72,
             "is_reached": True}  # fmt: skip
PART = {
    "name": "classifier_log_odds", "components": ["classifier"], "scale": "log_odds",
    "expected_raw": -3.0, "raw": 0.94, "adds": 0.72,
    "contributions": [{"feature": "amount", "value": 950.0, "contribution": 3.94}],
}  # fmt: skip
DECISION: dict[str, Any] = {
    "row_id": "t-1", "use_case": "fraud", "is_quarantined": False, "is_stored": True,
    "decided_at": AT, "sent_by": "shop-a", "row": {"amount": 950.0, "user_id": "u-1"},
    "decision": "review", "score": 0.72, "component_scores": {"classifier": 0.72},
    "thresholds": [THRESHOLD], "matched_rules": ["big"],
    "reason_codes": [{"code": "BIG", "message": "amount=950", "rule": "big", "values": {}}],
    "model_version": "1.0.1", "feature_set_version": "f1", "latency_ms": 1.0,
    "features": {"amount": 950.0},
    "label": {"value": 1, "known_at": AT, "source": "chargeback", "sent_by": None,
              "replaced_at": None},
    "earlier_labels": [],
    "explanation": {"version": "1.0.1", "parts": [PART], "explained_share": {"classifier": 1.0},
                    "not_explained": {"autoencoder": "it is not made of trees"}},
    "champion": {"version": "1.0.2", "decided_this_row": False, "component_scores": {},
                 "thresholds": [], "answers": [ANSWER], "unavailable": None},
}  # fmt: skip


def entry(number: int, **members: Any) -> dict[str, Any]:
    return {"number": number, "at": AT, "what": "rollback", "who": "operator/anna",
            "why": "blocks too much", "version": "1.0.0", "details": {"previous": "1.0.1"},
            "is_readable": True, "follows": True, **members}  # fmt: skip


def trail(*entries: Mapping[str, Any], is_whole: bool = True) -> dict[str, Any]:
    return {"entries": list(entries), "lines": len(entries), "is_whole": is_whole,
            "broken": [] if is_whole else [2], "next_before": None}  # fmt: skip


def logged_in(bench: Bench) -> Browser:
    browser = bench.browser()
    form = {"form_token": form_token(browser.get("/login").text), "token": bench.token,
            "next": "/now"}  # fmt: skip
    assert browser.post("/login", data=form).status_code == 303
    return browser


def hold_one(bench: Bench, version: str = "1.0.2") -> int:
    fencing_number = 7
    run_id = bench.add_run(status="RUNNING", fencingnumber=fencing_number, finishedat=None)
    wanted = WantedApproval(version, "c" * 64, "1.0.1", 3_600.0)
    metrics = {"candidate": {"auc": 0.9}, "champion": {"auc": 0.8}, "intervals": {"auc": [0.85, 1]}}
    verdicts = [{"gate": "metrics", "outcome": "PASS", "reason": "a gain", "numbers": {}}]
    said = {"statusmessage": "it waits", "modelversion": version, "metrics": metrics,
            "verdicts": verdicts}  # fmt: skip
    assert hold(bench.engine, run_id, fencing_number, wanted, said)
    return run_id
