"""The page: one HTML text that needs nothing but itself."""

from functools import cache

from jinja2 import Environment

from scheduler.drift.finding import DriftFinding
from scheduler.drift.page import column_charts
from scheduler.report import paper, words
from shared.clock import to_datetime

TEMPLATE = "drift.html"
MOST_PICTURES, PICTURES_WITHOUT_ALARM = 8, 4


def render(use_case: str, finding: DriftFinding, sentence: str) -> str:
    """The report of one check as HTML."""
    report, known = finding.report, finding.baseline
    moved = report.alarms[:MOST_PICTURES] or report.columns[:PICTURES_WITHOUT_ALARM]
    pictures = [
        (column, column_charts.distribution(column, known[column.name])) for column in moved
    ]
    return (
        _environment()
        .get_template(TEMPLATE)
        .render(
            use_case=use_case,
            finding=finding,
            sentence=sentence,
            known=known,
            start=to_datetime(finding.window.start_us),
            end=to_datetime(finding.window.end_us),
            delay_days=finding.label_delay_us / 86_400_000_000,
            distances=column_charts.distances(report.columns),
            pictures=pictures,
            style=paper.style(),
        )
    )


def _missing(counts: tuple[int, ...]) -> str:
    """The last bin of every column holds what is missing."""
    return words.share(counts[-1], sum(counts)) if counts else words.NOTHING


@cache
def _environment() -> Environment:
    filters = {"number": words.number, "moment": words.moment, "missing": _missing}
    return paper.environment("scheduler.drift.page", filters)
