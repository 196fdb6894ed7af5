"""The page: one HTML text that needs nothing but itself."""

from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from scheduler.report import bars, model_charts, paper, words
from scheduler.report.data import ALL_ROWS, Examined, ReportData
from scheduler.report.operating import operating_chart, operating_rows
from scheduler.report.ruling import ruling, split_figures
from scheduler.report.sentence import gate_name, why
from scheduler.tracking.record import flat

TEMPLATE = "candidate.html"


def render(data: ReportData) -> str:
    """The report of one run as HTML."""
    drawn = {} if data.examined is None else _figures(data.examined)
    return (
        _environment()
        .get_template(TEMPLATE)
        .render(
            data=data,
            why=why(data),
            ruling=ruling(data.policy, data.verdicts),
            operating=() if data.examined is None else operating_rows(data.examined.operating),
            figures=drawn,
            style=paper.style(),
        )
    )


def _figures(examined: Examined) -> dict[str, Markup | None]:
    drawn: dict[str, Markup | None] = {
        "operating": operating_chart(examined.operating),
        "gains": bars.differences("gains", "Differences on all rows", examined.gains),
        "slices": bars.differences("slices", "Differences by slice", examined.slices),
        "features": bars.importances("features", "Importance of features", examined.features),
        "groups": bars.importances("groups", "Importance of groups", examined.groups),
    }
    if examined.candidate is not None:
        drawn |= {
            "roc": model_charts.roc(examined),
            "precision_recall": model_charts.precision_recall(examined),
            "calibration": model_charts.calibration(examined),
            "distributions": model_charts.distributions(examined),
        }
    return drawn


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
        "gate": gate_name,
    }
    functions = {
        "all_rows": ALL_ROWS,
        "named": words.named,
        "share": words.share,
        "days_between": words.days_between,
    }
    return paper.environment("scheduler.report", filters, functions)
