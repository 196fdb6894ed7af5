"""The page: complete in itself, readable by everybody, and deaf to what it quotes."""

import re
from dataclasses import replace

import numpy as np

from scheduler.report import canvas
from scheduler.report.page import render
from scheduler.statistics.operating_figures import operating_figures
from scheduler.statistics.policy import JudgePolicy, PromotionKind
from shared.verdicts import Outcome, Verdict
from tests.scheduler.fakes import POLICY
from tests.scheduler.report.pages import Page
from tests.support.report_data import NASTY, examined, passed, refused, scored, verdicts


def test_the_page_needs_nothing_but_itself(nasty_page: str) -> None:
    page = Page(nasty_page)

    assert page.named("script", "link", "img", "iframe", "object", "embed", "base") == []
    references = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in {"src", "href", "xlink:href", "srcset", "action", "poster", "data"}
    ]
    assert [value for value in references if not str(value).startswith("#")] == []
    assert re.findall(r"url\((?!#)|@import", nasty_page) == []
    assert [name for _, found in page.elements for name in found if name.startswith("on")] == []
    [policy] = [m for m in page.named("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_what_is_quoted_never_becomes_markup(nasty_page: str) -> None:
    assert "<script" not in nasty_page
    text = Page(nasty_page).text
    # the sentence, a verdict, a figure of it, a metric, the description, and both figures
    assert text.count(NASTY) >= 7


def test_every_element_that_is_opened_is_closed(nasty_page: str) -> None:
    assert Page(nasty_page).left_open == []


def test_every_figure_can_be_read_out(nasty_page: str) -> None:
    page = Page(nasty_page)

    figures = page.named("svg")
    assert len(figures) == 8
    assert {figure["role"] for figure in figures} == {"img"}
    labels = [str(figure["aria-label"]) for figure in figures]
    assert all(len(label) > 30 for label in labels)
    assert any("candidate 1.0.1 area 0.8" in label for label in labels)
    assert len(page.named("figcaption")) == len(page.named("figure")) == 8
    assert page.named("html") == [{"lang": "en"}]


def test_figures_follow_the_colours_of_the_page(nasty_page: str) -> None:
    left = [name for name in vars(canvas)["_VARIABLES"] if name in nasty_page]

    assert left == []
    assert "var(--candidate)" in nasty_page
    assert "prefers-color-scheme: dark" in nasty_page


def test_no_two_figures_share_an_id(nasty_page: str) -> None:
    ids = re.findall(r'<(?:clipPath|path|g|marker|section)[^>]* id="([^"]+)"', nasty_page)
    reused = {name for name in ids if ids.count(name) > 1}
    referred = set(re.findall(r'(?:href="#|url\(#)([^")]+)', nasty_page))

    assert reused & referred == set()
    assert referred <= set(ids)


def test_the_same_run_makes_the_same_page() -> None:
    worse = Verdict("metrics", Outcome.FAIL, "worse than the champion")
    data = replace(refused(verdicts(worse)), examined=replace(examined(), slices=()))

    assert render(data) == render(data)


def test_verdicts_come_with_their_numbers(nasty_page: str) -> None:
    text = Page(nasty_page).text

    for gate in ("data-quality gate", "latency gate", "API-health gate"):
        assert f"PASS · {gate}" in text
    assert "FAIL · comparison with the champion" in text
    assert "-0.0123" in text


def test_a_slice_that_cannot_be_compared_says_why(nasty_page: str) -> None:
    assert "no rows to compare on" in Page(nasty_page).text


def test_a_run_that_never_trained_still_has_a_page() -> None:
    stale = Verdict("data_quality", Outcome.FAIL, "the newest row is 30 days old")
    data = replace(refused((stale,)), candidate_version=None)

    text = Page(render(data)).text

    assert "Nothing was trained, so nothing was promoted, because the data-quality gate" in text
    assert "the newest row is 30 days old" in text


def test_a_run_that_broke_off_before_any_gate_says_so() -> None:
    data = replace(
        refused(()), decision=None, status="FAILED", code="training_failed", message="no memory"
    )

    text = Page(render(data)).text

    assert "was not promoted because the run failed: no memory." in text
    assert "The run ended before any gate" in text


def test_the_first_screen_says_what_people_would_get() -> None:
    rows = scored()
    assert rows.champion is not None
    evidence = replace(
        rows.evidence(),
        champion_alerts=rows.champion >= 0.5,
        candidate_alerts=rows.candidate >= 0.5,
        amounts=np.full(len(rows.candidate), 10.0),
    )
    found = operating_figures(evidence, JudgePolicy(PromotionKind.SUPERIORITY))
    data = replace(
        refused(verdicts(passed("metrics"))), examined=replace(examined(), operating=found)
    )
    html = render(data)
    page = Page(html)
    assert html.index('id="operating"') < html.index("<nav")
    assert "precision of the alerts" in page.text
    assert f"{found.candidate['alert_precision']:.4f}" in page.text
    [label] = [
        str(item["aria-label"])
        for item in page.named("svg")
        if "served thresholds" in str(item.get("aria-label"))
    ]
    assert "champion" in label
    assert "More alerts than people can look at" not in page.text
    few = replace(data, policy=replace(POLICY, daily_alerts=1))
    assert "More alerts than people can look at" in Page(render(few)).text
