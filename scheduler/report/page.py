"""The page: one HTML text that needs nothing but itself."""

import re
from collections.abc import Sequence
from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from scheduler.report import bars, model_charts, paper, words
from scheduler.report.data import ALL_ROWS, Examined, ReportData
from scheduler.report.operating import operating_chart, operating_rows
from scheduler.report.ruling import ruling, split_figures
from scheduler.report.sentence import gate_name, why
from scheduler.report.task_charts import pictures
from scheduler.report.task_views import ClassRow, paired_classes
from scheduler.tracking.record import flat

TEMPLATE, OUTCOME = "candidate.html", "outcome.html"
STAMPS = {
    "SUCCEEDED": "PROMOTED",
    "ON_TRIAL": "ON TRIAL, NOT PROMOTED YET",
    "REFUSED": "NOT PROMOTED",
    "NOT_DUE": "NOT DUE, NOT PROMOTED",
}
# A page's outcome is replaced when its rollout has ended; texts of data are escaped, so none of
# them can hold these marks.
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
        "gains": bars.differences("gains", "Differences on all rows", examined.gains),
        "slices": bars.differences("slices", "Differences by slice", examined.slices),
        "features": bars.importances(
            "features", "Importance of features", examined.features, examined.importance_metric
        ),
        "groups": bars.importances(
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
