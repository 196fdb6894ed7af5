"""The page of a replay: one HTML text that needs nothing but itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment

from scheduler.replay.policies import Policy
from scheduler.replay.policy_charts import over_time, summed_differences
from scheduler.replay.published import Published
from scheduler.replay.record import Round
from scheduler.replay.summary import describe, ended, judged, metric_names, summarize, verdict
from scheduler.report import paper, words
from scheduler.tracking.record import flat
from shared.clock import to_datetime

TEMPLATE = "replay.html"
DRAWN = 3


@dataclass(frozen=True, slots=True)
class PageData:
    """What the page is about."""

    use_case: str
    every: str
    rounds: Sequence[Round]
    metric: str
    settings: Mapping[str, str]
    published: Published | None = None


def render(data: PageData) -> str:
    """The report of a replay as HTML."""
    names = metric_names(data.rounds)
    drawn = [data.metric, *(name for name in names if name != data.metric)][:DRAWN]
    charts = [(name, over_time(data.rounds, name)) for name in drawn]
    return (
        _environment()
        .get_template(TEMPLATE)
        .render(
            data=data,
            rounds=data.rounds,
            policies=list(Policy),
            names=names,
            sentence=verdict(data.rounds, data.metric),
            summaries=summarize(data.rounds),
            ended=ended(data.rounds),
            judged={name: describe(values) for name, values in judged(data.rounds).items()},
            charts=[(name, chart) for name, chart in charts if chart],
            ahead=summed_differences(data.rounds, data.metric),
            style=paper.style(),
        )
    )


@cache
def _environment() -> Environment:
    filters = {
        "number": words.number,
        "metric": words.metric_name,
        "flat": flat,
        "day": lambda instant_us: f"{to_datetime(instant_us):%Y-%m-%d %H:%M}",
    }
    return paper.environment("scheduler.replay", filters)
