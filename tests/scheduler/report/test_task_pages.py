"""Pages of other tasks than the binary one: their own figures, their own words."""

import re
from dataclasses import replace

import numpy as np
import pytest

from scheduler.report.data import Examined, HeldOutSummary, ReportData
from scheduler.report.measuring import gains_by_slice, gains_of
from scheduler.report.page import render
from scheduler.report.task_views import (
    ClassView,
    Floats,
    RankView,
    TaskView,
    ValueView,
    view_of,
)
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.measure import MeasurementPlan
from shared.tasks import Task, TaskKind
from shared.verdicts import Outcome, Verdict
from tests.scheduler.report.pages import Page
from tests.support.report_data import END, START, refused, verdicts

ITEMS = ("tea", "mate", "cocoa", "coffee", "cider", "juice")
TASKS = {
    TaskKind.REGRESSION: Task.regression(),
    TaskKind.MULTICLASS: Task.multiclass(["red", "green", "blue", "never"]),
    TaskKind.RANKING: Task.ranking(ITEMS),
}
METRICS = {
    TaskKind.REGRESSION: ("rmse", "mae"),
    TaskKind.MULTICLASS: ("log_loss", "macro_f1"),
    TaskKind.RANKING: ("ndcg_at_5", "rmse"),
}
ROWS = 600
NOT_OF_THESE_TASKS = re.compile(
    r"fraud|transaction|merchant|\bblock|\bcards?\b|customer|positive|ROC|alert|money|amount",
    re.IGNORECASE,
)


def rows_of(kind: TaskKind) -> tuple[Floats, Floats, Floats]:
    """Predictions of champion and candidate, and the truth; the candidate is nearer to it."""
    rng = np.random.default_rng(5)
    if kind is TaskKind.REGRESSION:
        truth = rng.normal(50, 10, ROWS)
        return truth + rng.normal(0, 4, ROWS), truth + rng.normal(0, 2, ROWS), truth
    if kind is TaskKind.MULTICLASS:
        truth = rng.integers(3, size=ROWS).astype(np.float64)
        hidden = 2.0 * np.eye(4)[truth.astype(np.int64)]
        arms = (hidden + noise * rng.normal(size=hidden.shape) for noise in (1.5, 0.8))
        shares = [np.exp(arm) / np.exp(arm).sum(axis=1, keepdims=True) for arm in arms]
        return shares[0], shares[1], truth
    truth = rng.normal(3, 1, (ROWS, len(ITEMS)))
    arms = (truth + noise * rng.normal(size=truth.shape) for noise in (1.5, 0.5))
    before, after = arms
    return before, after, np.where(rng.random(truth.shape) < 0.2, np.nan, truth)


def page_data(kind: TaskKind) -> ReportData:
    champion, candidate, truth = rows_of(kind)
    halves = {"first half": np.arange(ROWS) < ROWS // 2}
    evidence = Evidence(
        champion, candidate, truth, np.arange(ROWS) // 3, task=TASKS[kind], slices=halves
    )
    arms = (("1.0.1", candidate), ("1.0.0", champion))
    views = [view_of(TASKS[kind], version, scores, truth) for version, scores in arms]
    baselines = {}
    if kind is TaskKind.RANKING:
        ridge = view_of(TASKS[kind], "ridge", champion, truth)
        assert isinstance(ridge, RankView)
        baselines["ridge"] = ridge
    examined = Examined(
        held_out=HeldOutSummary(ROWS, 0, START, END, None, None, "labels in words"),
        candidate=None,
        champion=None,
        gains=tuple(gains_of(evidence, METRICS[kind], MeasurementPlan())),
        slices=tuple(gains_by_slice(evidence, METRICS[kind][0], MeasurementPlan())),
        features=(),
        groups=(),
        importance_rows=0,
        view=views[0],
        champion_view=views[1],
        baselines=baselines,
        importance_metric=METRICS[kind][0],
    )
    better = Verdict("metrics", Outcome.PASS, "better", {"path": "compared"})
    data = refused(verdicts(better))
    policy = replace(data.policy, primary_metric=METRICS[kind][0])
    return replace(data, examined=examined, task=TASKS[kind], policy=policy)


@pytest.mark.parametrize("kind", list(TASKS))
def test_a_page_has_the_figures_and_the_words_of_its_task(kind: TaskKind) -> None:
    page = Page(render(page_data(kind)))
    labels = " ".join(str(figure["aria-label"]) for figure in page.named("svg"))
    figures = {
        TaskKind.REGRESSION: ("Predicted against actual", "residuals", "Residuals by predicted"),
        TaskKind.MULTICLASS: ("Confusion of the classes by candidate", "by champion"),
        TaskKind.RANKING: ("NDCG by the length of the list", "Share of rows in whose first 5"),
    }
    for said in figures[kind]:
        assert said in labels
    assert "labels in words" in page.text
    assert page.left_open == []
    assert NOT_OF_THESE_TASKS.findall(f"{page.text} {labels}") == []


def test_a_loss_is_shown_as_people_know_it_and_its_gain_says_which_is_better() -> None:
    data = page_data(TaskKind.REGRESSION)
    assert data.examined is not None
    [error, _] = data.examined.gains
    assert error.measured is not None
    assert error.measured.champion > error.measured.candidate > 0
    assert error.measured.difference == pytest.approx(
        error.measured.champion - error.measured.candidate
    )


def test_classes_are_shown_with_precision_and_recall_and_what_never_came_as_a_dash() -> None:
    text = Page(render(page_data(TaskKind.MULTICLASS))).text
    assert "Class by class" in text
    assert re.search(r"never 0 .*?\N{EN DASH} → \N{EN DASH}", text)


def viewed(kind: TaskKind) -> TaskView:
    _, candidate, truth = rows_of(kind)
    found = view_of(TASKS[kind], "1", candidate, truth)
    assert found is not None
    return found


def test_views_hold_what_the_rows_say() -> None:
    values, classes, ranks = (viewed(kind) for kind in TASKS)
    assert isinstance(values, ValueView)
    assert values.shares.sum() == pytest.approx(1.0)
    assert (values.low < values.high).all()
    assert isinstance(classes, ClassView)
    assert classes.confusion.sum() == ROWS
    assert sum(row.rows for row in classes.classes) == ROWS
    assert isinstance(ranks, RankView)
    assert len(ranks.gains) == len(ITEMS)
    assert sum(item.answered for item in ranks.items) == pytest.approx(5.0)
    assert ranks.coverage == 1.0


def test_nothing_is_drawn_of_scores_that_are_no_numbers() -> None:
    for kind, task in TASKS.items():
        _, candidate, truth = rows_of(kind)
        assert view_of(task, "1", np.full_like(candidate, np.nan), truth) is None
