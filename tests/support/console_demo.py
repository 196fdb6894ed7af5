"""Believable content of a console: runs, versions, a trial, drift checks, decisions."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert

from shared.clock import isoformat, to_micros
from shared.tables.schema import (
    api_transaction_logs,
    job_schedules,
    retraining_config,
    rollout_looks,
)
from tests.support.console_bench import CURRENT, Bench

NOW = datetime.now(UTC).replace(microsecond=0)
DAY_US = 86_400_000_000
_DIGEST = "a1" * 32


def fill(bench: Bench) -> int:
    """Everything that screens show; returns the number of a refused run."""
    _versions(bench)
    _schedule(bench)
    _looks(bench)
    _decisions(bench)
    _drift(bench)
    bench.api.answers["/current_model"] = {**CURRENT, "rollout": _rollout()}
    bench.add_run(status="SUCCEEDED", statusmessage="passed every gate", modelversion="1.0.1")
    bench.add_run(status="RUNNING", finishedat=None, statusmessage=None, statuscode=None,
                  steps=[{"step": "snapshot", "started_at": _at(0), "duration_seconds": 3.0,
                          "result": "ok"}])  # fmt: skip
    return bench.add_run(
        modelversion="1.0.2", championversion="1.0.1", datasize=358_660, verdicts=_verdicts(),
        statusmessage="metrics FAIL: average_precision is worse", steps=_steps(),
        metrics={"champion": {"average_precision": 0.79}, "candidate": {"average_precision": 0.71}},
    )  # fmt: skip


def _at(days: float) -> str:
    return isoformat(to_micros(NOW - timedelta(days=days)))


def _us(days: float) -> int:
    return to_micros(NOW) - round(days * DAY_US)


def _verdicts() -> list[dict[str, Any]]:
    prefix = "average_precision"
    numbers = {"margin": 0.01, f"{prefix}.gain": -0.08, f"{prefix}.lower": -0.11,
               f"{prefix}.upper": -0.05, "guard.cost.gain": 4.0, "guard.cost.lower": 1.0,
               "guard.cost.upper": 7.0, "guard.cost.tolerance": 0.0}  # fmt: skip
    passed = {"gate": "data_quality", "outcome": "PASS", "reason": "no fault found", "numbers": {}}
    failed = {"gate": "metrics", "outcome": "FAIL", "reason": "average_precision is worse"}
    return [passed, failed | {"numbers": numbers}]


def _steps() -> list[dict[str, Any]]:
    names = ("snapshot", "features", "train", "evaluate", "metrics", "decide")
    return [
        {"step": name, "started_at": _at(0), "duration_seconds": 3.0, "result": "ok"}
        for name in names
    ]


def _versions(bench: Bench) -> None:
    registry = bench.folder / "registry"
    accepted, activations = {}, []
    for place, version in enumerate(("1.0.0", "1.0.1")):
        known = {"version": version, "sha256": _DIGEST, "key_id": "3f2a9c41"}
        accepted[version] = {**known, "accepted_at_us": _us(14 - 7 * place)}
        left = None if place else _us(7)
        activations.append({"version": version, "activated_at_us": _us(14 - 7 * place),
                            "served_well_at_us": _us(13), "left_at_us": left,
                            "ended": None if place else "replaced"})  # fmt: skip
        folder = registry / "versions" / version
        folder.mkdir(parents=True)
        manifest = {
            "use_case": "cards", "created_at": _at(14), "description": "Gradient boosting.",
            "components": ["classifier"], "feature_names": [f"f{n}" for n in range(40 + place)],
            "metrics": {"average_precision": 0.7 + place / 100}, "thresholds": {"review": 0.5},
            "metric_intervals": {"average_precision": [0.65, 0.8]}, "parent_version": None,
            "training_data": {"rows": 300_000 + place, "positives": 3_000, "sha256": _DIGEST,
                              "window_start": _at(190), "window_end": _at(10)},
        }  # fmt: skip
        meta = {**known, "accepted_at_us": _us(14), "size_bytes": 812_345, "manifest": manifest}
        (folder / "meta.json").write_text(json.dumps(meta))
        (folder / "bundle.zip").write_bytes(b"")
    ledger = {"accepted": accepted, "activations": activations}
    (registry / "ledger.json").write_text(json.dumps(ledger))
    (registry / "current_version.txt").write_text("1.0.1\n")


def _schedule(bench: Bench) -> None:
    with bench.engine.begin() as connection:
        connection.execute(retraining_config.delete())
        connection.execute(insert(retraining_config).values(
            configid=1, interval="weekly sunday 03:00", isenabled=1, createdat=_at(9),
            updatedat=_at(9)))  # fmt: skip
        for job, interval in (("retraining", "weekly sunday 03:00"), ("drift", "1D")):
            connection.execute(insert(job_schedules).values(
                jobname=job, interval=interval, isenabled=1, anchor=_us(9), inforcesince=_us(9),
                answeredto=_us(0), nextdue=_us(-1), checkedat=_us(0)))  # fmt: skip


def _arm(rate: float, rows: int) -> dict[str, Any]:
    mean = {"mean": rate, "standard_error": 0.001}
    latency = {"mean": 1.5, "standard_error": 0.1}
    counts = {"users": 500, "requests": rows, "errors": 0, "groups": 64, "alerts": 10}
    means = {"alert_rate": mean, "latency_ms": latency, "latency_p99_ms": 4.0}
    return {**counts, **means, "scores": []}


def _rollout() -> dict[str, Any]:
    return {
        "mode": "canary", "version": "1.0.2", "champion": "1.0.1", "share_percent": 5,
        "shares": [5, 10, 25, 50], "next_share": 10, "began_at": _at(0.1), "stage_since": _at(0.1),
        "stage_seconds": 100.0, "begun_by": "push", "shadow": None,
        "arms": {"champion": _arm(0.02, 9_000), "candidate": _arm(0.021, 480)},
        "workers": {"following": 1, "total": 1, "troubles": {}},
    }  # fmt: skip


def _looks(bench: Bench) -> None:
    tests = [
        {"name": name, "p_value": p, "limit": 0.0031, "is_rejected": False}
        for name, p in (("errors", 1.0), ("latency", 0.2), ("scores", 0.4), ("alerts", 0.08))
    ]
    rows = [
        {"version": "1.0.2", "champion": "1.0.1", "beganat": _us(0.1), "mode": "canary",
         "lookedat": _us(0.1) + n * 10_000_000, "sharepercent": 5, "step": "hold",
         "code": "too_little", "reason": "480 of 1,000 requests", "tests": tests,
         "arms": {"candidate": _arm(0.02 + n / 1e4, 9 * n), "champion": _arm(0.02, 150 * n)}}
        for n in range(60)
    ]  # fmt: skip
    with bench.engine.begin() as connection:
        connection.execute(insert(rollout_looks), rows)


def _decisions(bench: Bench) -> None:
    chance, rows = random.Random(7), []
    for n in range(600):
        score, at = chance.betavariate(1, 6), _us(14 * chance.random())
        decision = "block" if score > 0.6 else "review" if score > 0.3 else "approve"
        reasons = [{"code": "MODEL_REVIEW"}] if decision != "approve" else []
        rows.append({
            "transaction_id": f"t-{n}", "user_id": f"u-{n % 50}", "event_time": at,
            "ingested_at": at, "amount": 10.0, "currency": "EUR", "merchant_id": "m-1",
            "transaction_type": "purchase", "score": score, "decision": decision,
            "reason_codes": reasons, "matched_rules": [], "latency_ms": 1.0 + score,
            "model_version": "1.0.1" if at >= _us(7) else "1.0.0",
        })  # fmt: skip
    with bench.engine.begin() as connection:
        connection.execute(insert(api_transaction_logs), rows)


def _drift(bench: Bench) -> None:
    for day in range(5):
        columns = [
            {"name": f"column {n}", "effect": 0.02 * n, "floor": 0.1, "alarm": n == 6 and day > 3}
            for n in range(8)
        ]
        answer = "No drift." if day < 4 else "column 6 has changed: a broken pipe?"
        bench.add_run(
            jobname="drift", status="SUCCEEDED", scheduledfor=_at(5 - day), statusmessage=answer,
            championversion="1.0.1", metrics={"columns": columns, "rows": 40_000, "answer": answer},
        )  # fmt: skip
