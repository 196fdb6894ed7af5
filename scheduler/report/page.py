"""The page: one HTML text that needs nothing but itself."""

from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from scheduler.flattening import flat
from scheduler.report import bars, figures, words
from scheduler.report.data import ALL_ROWS, Examined, ReportData
from scheduler.report.ruling import ruling, split_figures
from scheduler.report.sentence import gate_name, why

TEMPLATE, STYLE = "candidate.html", "candidate.css"


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
            figures=drawn,
            style=_style(),
        )
    )


def _figures(examined: Examined) -> dict[str, Markup | None]:
    drawn: dict[str, Markup | None] = {
        "gains": bars.differences("gains", "Differences on all rows", examined.gains),
        "slices": bars.differences("slices", "Differences by slice", examined.slices),
        "features": bars.importances("features", "Importance of features", examined.features),
        "groups": bars.importances("groups", "Importance of groups", examined.groups),
    }
    if examined.candidate is not None:
        drawn |= {
            "roc": figures.roc(examined),
            "precision_recall": figures.precision_recall(examined),
            "calibration": figures.calibration(examined),
            "distributions": figures.distributions(examined),
        }
    return drawn


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("scheduler.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": words.number,
        "signed": words.signed,
        "moment": words.moment,
        "size": words.size,
        "flat": flat,
        "split_figures": split_figures,
        "metric": words.metric_name,
        "gate": gate_name,
    }
    environment.globals |= {
        "all_rows": ALL_ROWS,
        "named": words.named,
        "share": words.share,
        "days_between": words.days_between,
    }
    return environment


@cache
def _style() -> Markup:
    text = files("scheduler.report").joinpath("templates", STYLE).read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704 - our own style sheet
