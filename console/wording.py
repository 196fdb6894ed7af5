"""Plain words for gates, outcomes and metrics: what people read instead of codes."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

GATES = {
    "data_quality": "Quality of the training rows",
    "feature_quality": "Quality of the features",
    "latency": "Speed of the candidate",
    "api_health": "Health of the API",
    "metrics": "Comparison with the live version",
    "approval": "Approval by a person",
}


def gate_name(gate: str) -> str:
    """The plain words for a gate; a gate without any keeps its name."""
    return GATES.get(gate, f"{gate.replace('_', ' ')} gate")


WHAT_TO_DO = {
    ("data_quality", "FAIL"): (
        "The rows have an error: correct them at their source (docs/data-quality.md), then "
        "retrain. The live version is not concerned."
    ),
    ("feature_quality", "FAIL"): (
        "Features of training and of serving differ, or one is broken: see "
        "docs/data-quality.md, then retrain."
    ),
    ("latency", "FAIL"): (
        "The candidate is too slow for the budget (LATENCY_BUDGET_MS). Nothing to undo."
    ),
    ("api_health", "FAIL"): "The API was not healthy at that moment: see Now, then retrain.",
    ("metrics", "FAIL"): (
        "The candidate is worse than the live version. Nothing to do: keeping the live "
        "version is what the gate is for."
    ),
    ("metrics", "INCONCLUSIVE"): (
        "The candidate is not better by enough to replace the live version now. Nothing to do: "
        "the next due run compares again, with more labelled rows."
    ),
}

_METRICS = {
    "auc": "ranking of rows (AUC)",
    "average_precision": "precision over all alert volumes (average precision)",
    "recall_at_budget": "share of cases caught with the daily alerts (recall at budget)",
    "card_precision_100": "precision of the first 100 cards a day",
    "brier": "accuracy of probabilities (Brier)",
    "log_loss": "accuracy of probabilities (log loss)",
    "cost": "money saved a day",
    "alert_precision": "share of alerts that are right",
    "alert_recall": "share of cases that raise an alert",
    "alert_volume": "alerts a day",
    "alert_money": "money kept a day, after the cost of alerts",
    "alert_saved": "money saved a day",
    "alert_missed": "money missed a day",
    "alert_work": "cost of alerts a day",
    "rmse": "typical error (RMSE)",
    "mae": "mean absolute error (MAE)",
    "r2": "share of variation explained (R2)",
    "accuracy": "share of right classes (accuracy)",
    "macro_f1": "balance over all classes (macro-F1)",
}
LESS_IS_BETTER = frozenset({"brier", "log_loss", "rmse", "mae", "alert_missed", "alert_work"})
"""Metrics that improve as they fall; those of `NEITHER` do not improve either way."""

NEITHER = frozenset({"alert_volume"})


def change_word(name: str, now: object, then: object) -> str:
    """The word for a change of a metric: better, worse, the same; empty: it cannot be said."""
    if not isinstance(now, int | float) or not isinstance(then, int | float):
        return ""
    if round(now, 4) == round(then, 4):
        return "the same"
    if name in NEITHER or name not in _METRICS:
        return ""
    return "worse" if (then > now) == (name in LESS_IS_BETTER) else "better"


# The refusing gate in the message of a run, for runs whose verdicts are not loaded.
_BLOCKING = re.compile(r"(\w+) (FAIL|INCONCLUSIVE|ERROR): (.*)", re.ASCII | re.DOTALL)
_OUTCOMES = {
    "FAIL": "failed",
    "INCONCLUSIVE": "could not decide",
    "ERROR": "could not be carried out",
}


_OTHER_JOBS = {"drift": "Drift check", "replay": "Replay", "archive": "Archive"}


def metric_name(name: str) -> str:
    """A metric in words; one without words keeps its name."""
    return _METRICS.get(name, name.replace("_", " "))


def refusal(outcome: str) -> str:
    """The advice about the outcome of any gate."""
    if outcome == "PASS":
        return ""
    if outcome == "ERROR":
        return "It could not be measured, which refuses, too: see the log of the scheduler."
    return "See the reason; the live version stays."


_NOT_OVER = {
    "REQUESTED": "This run waits for the scheduler, which starts it within seconds.",
    "RUNNING": "This run is in progress; nothing has changed yet.",
}


def run_sentence(row: Mapping[str, Any], gates: Sequence[tuple[str, str, str]]) -> str:
    """The result of a run in one sentence."""
    status, version = row["status"], row["modelversion"]
    message = str(row["statusmessage"] or "").rstrip(".")
    who = f"Version {version}" if version else "A new candidate"
    if status in _NOT_OVER:
        return _NOT_OVER[status]
    if row["jobname"] in _OTHER_JOBS:
        return f"{_OTHER_JOBS[row['jobname']]}: {message or status}."
    if status == "SUCCEEDED":
        return f"{who} was promoted: {message or 'it passed every gate'}."
    if status == "ON_TRIAL":
        return f"{who} passed every gate and is on trial beside the live version: {message}."
    if status == "AWAITING" and message:
        return f"{message}."
    blocking = next((gate for gate in gates if gate[1] != "PASS"), None)
    if blocking is None and (found := _BLOCKING.match(message)):
        blocking = (found[1], found[2], found[3])
    if status == "REFUSED" and blocking is not None:
        gate, outcome, reason = blocking
        name = GATES.get(gate, gate.replace("_", " ")).lower()
        said = f"“{name}” {_OUTCOMES.get(outcome, outcome)}"
        subject = f"{who} was not promoted" if version else "Nothing was promoted"
        return f"{subject}, because the gate {said}: {reason.rstrip('.')}."
    words = {
        "AWAITING": "passed every gate and waits for a person",
        "REFUSED": "was not promoted",
        "FAILED": "was not promoted, because the run failed",
        "SKIPPED": "was not trained",
        "NOT_DUE": "was not promoted, because the live version is fresh",
        "MISSED": "was not trained, because no scheduler ran when it was due",
    }
    why = message or row["statuscode"] or "no reason given"
    return f"{who} {words.get(status, status)}: {why}."
