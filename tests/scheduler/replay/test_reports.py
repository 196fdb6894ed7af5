"""The table, the CSV and the page tell the same, and the page needs nothing but itself."""

import csv
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from scheduler.replay.page import PageData, csv_text, render
from scheduler.replay.plan import Policy
from scheduler.replay.protocol import Published
from scheduler.replay.record import Round, from_json, to_json
from scheduler.replay.summary import describe, judged, mean, summarize, verdict
from tests.scheduler.replay.chronicle import Chronicle
from tests.support.replay_bench import ReplayBench, weekly

METRIC = "average_precision"
BOOK = Published("a book", ("average_precision",), {"random forest": (0.678,)})


@pytest.fixture
def rounds(bench: ReplayBench) -> list[Round]:
    return bench.play(spans=weekly(10, 22, "4W"))[0]


def page(rounds: list[Round]) -> str:
    return render(PageData("tiny", "4W", rounds, METRIC, {"seed": "1"}, BOOK))


class Outside(HTMLParser):
    """Collects whatever would be fetched from somewhere else."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "link", "img", "iframe"}:
            self.fetched.append(tag)
        self.fetched += [
            str(value)
            for name, value in attrs
            if name in {"src", "href", "xlink:href"} and not str(value).startswith("#")
        ]


def test_a_round_survives_being_written_down(rounds: list[Round]) -> None:
    assert [from_json(to_json(record)) for record in rounds] == rounds
    with pytest.raises(ValueError, match="not a round"):
        from_json(b'{"key": "x"}')


def test_the_page_needs_nothing_but_itself(rounds: list[Round]) -> None:
    text = page(rounds)
    outside = Outside()
    outside.feed(text)
    assert outside.fetched == []
    assert "default-src 'none'" in text
    assert "url(" not in re.sub(r"url\(#[^)]*\)", "", text)


def test_the_page_says_for_every_round_what_became_of_it_and_why(rounds: list[Round]) -> None:
    text = page(rounds)
    assert verdict(rounds, METRIC) in text
    for record in rounds:
        assert record.reason.replace(">", "&gt;") in text
    assert text.count('role="img"') >= 3
    assert "random forest, published" in text


def test_a_single_round_makes_a_page_too(rounds: list[Round]) -> None:
    assert page(rounds[:1]).count('role="img"') >= 3


def test_a_reason_from_the_data_cannot_become_markup(bench: ReplayBench) -> None:
    broken = Chronicle(training_error="<script>alert(1)</script>")
    rounds, _ = bench.play(spans=weekly(10, 14, "4W"), use_case=broken)
    assert "<script>" not in page(rounds)
    assert "No week was long and labelled enough" in verdict(rounds, METRIC)


def test_the_csv_has_a_line_for_each_round_and_policy(rounds: list[Round]) -> None:
    lines = list(csv.DictReader(io.StringIO(csv_text(rounds))))
    assert len(lines) == len(rounds) * len(Policy)
    for record, at in zip(rounds, range(0, len(lines), len(Policy)), strict=True):
        for line, policy in zip(lines[at : at + len(Policy)], Policy, strict=True):
            assert line["policy"] == policy.value
            assert line["serves"] == (record.serving[policy] or "")
            assert float(line[METRIC]) == record.scored(policy)[METRIC]
            assert line["drift_alarm"] == ("" if record.drifted is None else str(record.drifted))


def test_policies_are_compared_on_the_same_rounds_only(rounds: list[Round]) -> None:
    first = rounds[0]
    served = {**first.serving, Policy.NEVER: None}
    shorter = [replace(first, serving=served), *rounds[1:]]
    assert {mean(shorter, policy, METRIC).weeks for policy in Policy} == {len(rounds) - 1}


def test_means_are_those_of_the_rounds(rounds: list[Round]) -> None:
    for each in summarize(rounds):
        values = [record.scored(each.policy)[METRIC] for record in rounds]
        assert each.means[METRIC].value == pytest.approx(sum(map(float, values)) / len(rounds))  # type: ignore[arg-type]
        assert each.means["undefined"].value is None


def test_candidates_are_also_told_by_their_own_held_out_rows(rounds: list[Round]) -> None:
    found = judged(rounds)[METRIC]
    assert len(found) == len(rounds)
    assert describe(found).weeks == len(rounds)


def test_the_check_before_each_round_sees_the_turn_of_the_world(bench: ReplayBench) -> None:
    rounds, _ = bench.play()
    assert rounds[0].drifted is None
    assert {record.drifted for record in rounds[1:]} <= {True, False}
    assert all(record.drift and record.drift["jobname"] == "drift" for record in rounds[1:])
