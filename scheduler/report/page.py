"""The candidate's page: one self-contained HTML text that opens with the reason in a sentence."""

import re
from collections.abc import Sequence
from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from scheduler.decision import PromotionDecision
from scheduler.report import model_charts, paper, words
from scheduler.report.data import ALL_ROWS, Examined, ReportData
from scheduler.report.interval_charts import (
    differences,
    importances,
    operating_chart,
    operating_rows,
)
from scheduler.report.ruling import ruling, split_figures
from scheduler.report.task_charts import pictures
from scheduler.report.task_views import ClassRow, paired_classes
from scheduler.tracked_run import flat
from shared.tables.runs import RunStatus
from shared.verdicts import Outcome, Verdict

GATES = {
    "data_quality": "data-quality gate",
    "feature_quality": "feature-quality gate",
    "latency": "latency gate",
    "api_health": "API-health gate",
    "metrics": "comparison with the champion",
}


def gate_name(gate: str) -> str:
    """The display name of a gate."""
    return GATES.get(gate, f"{gate.replace('_', ' ')} gate")


def why(data: ReportData) -> str:
    """The answer of the whole report."""
    return f"{' '.join(_why(data).split()).rstrip('.;: ')}."


def _why(data: ReportData) -> str:
    who = f"Version {data.candidate_version}" if data.candidate_version else "A new candidate"
    if data.decision is None:
        return f"{who} was not promoted because the run failed: {data.message}"
    if data.status == RunStatus.NOT_DUE:
        return f"{who} was not promoted because the champion is fresh: {data.message}"
    if not data.decision.promotes:
        return _refused(who, data, data.decision)
    if data.status == RunStatus.ON_TRIAL:
        return (
            f"{who} passed every gate and is on trial beside {data.champion_version}, which "
            f"stays the champion until the rollout promotes it: {data.message}"
        )
    if data.status == RunStatus.AWAITING:
        return f"{who} passed every gate and waits for a person to approve it: {data.message}"
    if data.status != RunStatus.SUCCEEDED:
        return f"{who} passed every gate but does not serve: {data.message}"
    found = _by_gate(data.verdicts, "metrics")
    because = found.reason if found else data.decision.reason
    if data.decision.inputs.first_model:
        return f"{who} was promoted because it is the first model and passed every gate: {because}"
    return (
        f"{who} was promoted over {data.champion_version} because it passed every gate: {because}"
    )


def _refused(who: str, data: ReportData, decision: PromotionDecision) -> str:
    blocking = next((item for item in data.verdicts if not item.passed), None)
    if blocking is None:
        return f"{who} was not promoted because {decision.reason}"
    if data.candidate_version is None:
        who = "Nothing was trained, so nothing was promoted,"
    else:
        who = f"{who} was not promoted"
    return f"{who} because {_said(blocking)}"


def _said(verdict: Verdict) -> str:
    gate = gate_name(verdict.gate)
    if verdict.outcome is Outcome.FAIL:
        return f"the {gate} failed: {verdict.reason}"
    if verdict.outcome is Outcome.INCONCLUSIVE:
        return f"the {gate} was inconclusive: {verdict.reason}"
    return f"the {gate} could not be carried out: {verdict.reason}"


def _by_gate(verdicts: tuple[Verdict, ...], gate: str) -> Verdict | None:
    return next((item for item in verdicts if item.gate == gate), None)


TEMPLATE, OUTCOME = "candidate.html", "outcome.html"
STAMPS = {
    "SUCCEEDED": "PROMOTED",
    "ON_TRIAL": "ON TRIAL, NOT PROMOTED YET",
    "REFUSED": "NOT PROMOTED",
    "NOT_DUE": "NOT DUE, NOT PROMOTED",
}
# The outcome on a page is replaced when its rollout has ended. Data is escaped, so it cannot
# contain these marks.
_OUTCOME = re.compile(r"<!--outcome-->.*?<!--/outcome-->", re.DOTALL)
_TITLE = re.compile(r"(<title>[^<]*): [^<:]*(</title>)")


def render(data: ReportData) -> str:
    """The report of one run as HTML."""
    drawn = {} if data.examined is None else _figures(data.examined)
    return (
        _environment()
        .get_template(TEMPLATE)
        .render(
            data=data,
            why=why(data),
            status=data.status,
            stamp=stamp(data.status),
            ruling=ruling(data.policy, data.verdicts, data.task),
            pictures=() if data.examined is None else pictures(data.examined),
            classes=_classes(data.examined),
            support=words.support_words(data.task),
            operating=() if data.examined is None else operating_rows(data.examined.operating),
            figures=drawn,
            style=paper.style(),
        )
    )


def stamp(status: str) -> str:
    """The fate of a candidate in two words."""
    return STAMPS.get(status, "RUN FAILED")


def outcome_head(status: str, sentence: str) -> str:
    """The stamp and the sentence at the head of a page."""
    template = _environment().get_template(OUTCOME)
    return template.render(status=status, stamp=stamp(status), why=sentence)


def with_outcome(page: str, status: str, sentence: str) -> str:
    """A page whose head says how the rollout ended; the rest stays as it was measured."""
    head = outcome_head(status, sentence)
    changed = _OUTCOME.sub(lambda _: head, page, count=1)
    titled = f": {stamp(status).lower()}"
    return _TITLE.sub(lambda found: f"{found[1]}{titled}{found[2]}", changed, count=1)


def _figures(examined: Examined) -> dict[str, Markup | None]:
    drawn: dict[str, Markup | None] = {
        "operating": operating_chart(examined.operating),
        "gains": differences("gains", "Differences on all rows", examined.gains),
        "slices": differences("slices", "Differences by slice", examined.slices),
        "features": importances(
            "features", "Importance of features", examined.features, examined.importance_metric
        ),
        "groups": importances(
            "groups", "Importance of groups", examined.groups, examined.importance_metric
        ),
    }
    if examined.candidate is not None:
        drawn |= {
            "roc": model_charts.roc(examined),
            "precision_recall": model_charts.precision_recall(examined),
            "calibration": model_charts.calibration(examined),
            "distributions": model_charts.distributions(examined),
        }
    return drawn


def _classes(examined: Examined | None) -> Sequence[tuple[ClassRow, ClassRow | None]]:
    """Each class of the candidate, with the champion's."""
    if examined is None:
        return ()
    views = (examined.view, examined.champion_view)
    return paired_classes([view for view in views if view is not None])


@cache
def _environment() -> Environment:
    filters = {
        "number": words.number,
        "signed": words.signed,
        "moment": words.moment,
        "size": words.size,
        "flat": flat,
        "split_figures": split_figures,
        "metric": words.metric_name,
        "sentence": words.sentence_start,
        "figure": words.figure,
        "gate": gate_name,
    }
    functions = {
        "all_rows": ALL_ROWS,
        "named": words.named,
        "plain_name": words.plain_name,
        "share": words.share,
        "days_between": words.days_between,
    }
    return paper.environment("scheduler.report", filters, functions)
