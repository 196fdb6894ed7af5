"""The page of a replay: one HTML text that needs nothing but itself."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from jinja2 import Environment
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

from scheduler.replay.plan import Policy
from scheduler.replay.protocol import Published
from scheduler.replay.record import Round
from scheduler.replay.summary import (
    better_sign,
    describe,
    ended,
    judged,
    metric_names,
    summarize,
    verdict,
)
from scheduler.report import paper, words
from scheduler.report.canvas import CANDIDATE, CHAMPION, GRID, INK, MUTED, NEGATIVE, drawing
from scheduler.report.task_views import Floats
from scheduler.report.words import metric_name
from scheduler.tracked_run import flat
from shared.clock import isoformat, to_datetime

# The replay as CSV, a line for each round and policy, for readers who recompute the totals.

_ABOUT = (
    "round",
    "as_of",
    "until",
    "status",
    "code",
    "reason",
    "candidate",
    "champion_before",
    "drift_alarm",
    "policy",
    "serves",
    "rows",
    "positives",
    "unlabelled",
)


def csv_text(rounds: Sequence[Round]) -> str:
    """All rounds; an empty field is what is undefined, or not there."""
    names = metric_names(rounds)
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow((*_ABOUT, *names))
    for record in rounds:
        for policy in Policy:
            writer.writerow(_line(record, policy, names))
    return buffer.getvalue()


def _line(record: Round, policy: Policy, names: Sequence[str]) -> list[object]:
    span, run, scores = record.span, record.run, record.scored(policy)
    return [
        span.number,
        isoformat(span.as_of_us),
        isoformat(span.until_us),
        run["status"],
        run["statuscode"],
        record.reason,
        record.candidate,
        run["championversion"],
        record.drifted,
        policy.value,
        record.serving[policy],
        record.rows,
        record.positives,
        record.unlabelled,
        *(scores.get(name) for name in names),
    ]


# The charts of a replay: the metric of each policy over time, and the gain of the gate.

Moments = npt.NDArray[np.datetime64]

WIDTH, HEIGHT = 7.4, 2.9
# lines also differ in style and marker, for colour-blind readers
_LOOKS = {
    Policy.NEVER: (NEGATIVE, ":", "^"),
    Policy.ALWAYS: (CHAMPION, "--", "s"),
    Policy.GATE: (CANDIDATE, "-", "o"),
}


def over_time(rounds: Sequence[Round], name: str) -> Markup | None:
    """One line a policy; a ring where the gate promoted."""
    series = {policy: _values(rounds, policy, name) for policy in Policy}
    if all(np.isnan(values).all() for values in series.values()):
        return None
    moments = _moments(rounds)
    alt = f"{metric_name(name)} by round: " + "; ".join(
        f"{policy.value} " + ", ".join("-" if np.isnan(v) else f"{v:.3f}" for v in values)
        for policy, values in series.items()
    )
    with drawing(f"over-time-{name}", f"{alt}.", WIDTH, HEIGHT, top=0.35) as sheet:
        axes = sheet.axes[0]
        for policy, values in series.items():
            colour, line, marker = _LOOKS[policy]
            axes.plot(
                moments, values, color=colour, linestyle=line, marker=marker, markersize=4,
                label=policy.value,
            )  # fmt: skip
        promoted = [at for at, record in enumerate(rounds) if record.outcome.promoted]
        axes.plot(
            moments[promoted],
            series[Policy.GATE][promoted],
            linestyle="none", marker="o", markersize=10, markerfacecolor="none",
            markeredgecolor=INK, label="promoted",
        )  # fmt: skip
        _dates(axes, rounds)
        axes.set_ylabel(metric_name(name))
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 0.99), ncols=4, borderaxespad=0.1)
    return sheet.svg


def summed_differences(rounds: Sequence[Round], name: str) -> Markup | None:
    """The gate's cumulative lead over each other policy; up is better for the gate."""
    gate, sign = _values(rounds, Policy.GATE, name), better_sign(name)
    ahead = {
        policy: np.cumsum(np.nan_to_num(sign * (gate - _values(rounds, policy, name))))
        for policy in (Policy.NEVER, Policy.ALWAYS)
    }
    if np.isnan(gate).all():
        return None
    moments = _moments(rounds)
    listed = "; ".join(f"{values[-1]:+.3f} on {policy.value}" for policy, values in ahead.items())
    alt = f"{metric_name(name)} that the gate is ahead by, summed up: {listed}."
    with drawing(f"ahead-{name}", alt, WIDTH, HEIGHT, top=0.35) as sheet:
        axes = sheet.axes[0]
        axes.axhline(0.0, color=GRID, linewidth=1)
        for policy, values in ahead.items():
            colour, line, marker = _LOOKS[policy]
            axes.step(
                moments, values, where="post", color=colour, linestyle=line, marker=marker,
                markersize=4, label=f"against {policy.value}",
            )  # fmt: skip
        _dates(axes, rounds)
        axes.set_ylabel("summed difference", color=MUTED)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 0.99), ncols=2, borderaxespad=0.1)
    return sheet.svg


def _moments(rounds: Sequence[Round]) -> Moments:
    return np.array([record.span.as_of_us for record in rounds]).astype("datetime64[us]")


def _values(rounds: Sequence[Round], policy: Policy, name: str) -> Floats:
    found = [record.scored(policy).get(name) for record in rounds]
    return np.array([np.nan if value is None else value for value in found])


def _dates(axes: Axes, rounds: Sequence[Round]) -> None:
    ends = np.array([rounds[0].span.as_of_us, rounds[-1].span.until_us]).astype("datetime64[us]")
    axes.set_xlim(*date2num(ends))  # type: ignore[no-untyped-call]
    locator = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)


TEMPLATE = "replay.html"
DRAWN = 3


@dataclass(frozen=True, slots=True)
class PageData:
    """The heading of the page: which replay it shows."""

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
