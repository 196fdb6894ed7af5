"""What rules are found to match does not depend on how they were asked: CEL alone says the same."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fraud_rules import PLAIN_TRANSACTION, Table, compiled, make_evidence
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.rules.conditions import plain_beginning
from usecases.fraud.rules.rulefile import RuleFileError
from usecases.fraud.rules.ruleset import RuleSet
from usecases.fraud.rules.variables import RuleEvidence

# around the limits of the shipped rules, and what no feature should ever be
TELLING = [
    0.0,
    0.04,
    0.05,
    0.2,
    0.3,
    1.0,
    2.0,
    3.0,
    5.0,
    7.0,
    8.0,
    10.0,
    12.0,
    15.0,
    25.0,
    61.0,
    1500.0,
]
ABSURD = [-1.0, 0.5, 1e19, -1e19, 9.3e18, 3e38, float("nan"), float("inf"), float("-inf")]
TEXTS = [
    "",
    "purchase",
    "transfer",
    "withdrawal",
    "refund",
    "pos",
    "online",
    "DE",
    "\u00e9",
    "\U0001f600",
]

ASKED = ["cnt_1h", "cnt_30d", "distinct_merchants_24h", "sum_24h", "is_night", "is_round_amount"]
features = st.one_of(
    st.dictionaries(st.sampled_from(FEATURE_SET.names), st.sampled_from(TELLING), max_size=43),
    st.dictionaries(st.sampled_from(ASKED), st.sampled_from(TELLING + ABSURD), max_size=6),
)
scores = st.sampled_from([0.01, 0.3, 0.5, 0.7, 0.95, 2.5, float("nan")])
places = st.sampled_from([None, 0.0, 48.1])
fields = st.fixed_dictionaries(
    {
        "amount": st.sampled_from([0.0, 0.1, 10.0, 25.0, 50.0, 400.0, 1000.0, 2000.0, 5000.0]),
        "user_id": st.sampled_from(["u-1", "anonymous-1"]),
        "transaction_type": st.sampled_from(TEXTS),
        "channel": st.sampled_from([None, *TEXTS]),
        "country": st.sampled_from([None, *TEXTS]),
        "lat": places,
        "home_lat": places,
        "utc_offset_min": st.sampled_from([None, -720, 60]),
    }
)
rows = st.builds(
    lambda known, judged, sent: make_evidence(known, judged, **sent),
    features,
    st.tuples(scores, scores, scores),
    fields,
)


@settings(deadline=None, max_examples=150)
@given(row=rows)
def test_the_shipped_rules_match_what_cel_alone_says(shipped: RuleSet, row: RuleEvidence) -> None:
    assert shipped.find(row) == shipped.find_by_cel(row)


def joined(*parts: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(" ".join)


operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
doubles = st.sampled_from(["amount", "sum_24h", "probability", "threshold_review", "autoencoder"])
sums = st.sampled_from(
    [
        "amount + sum_24h",
        "amount - 5.0",
        "probability * 2.0",
        "threshold_review / 2.0",
        "amount / sum_24h",
        "amount / 0.0",
        "5.0 -amount",
        "sum_24h*amount",
    ]
)
double_literals = st.sampled_from(["0.0", "-1.0", "0.3", "0.30000000000000004", "5.0", "1500.0"])
ints = st.sampled_from(["cnt_1h", "cnt_30d", "hour", "day_of_week", "distinct_merchants_24h"])
int_literals = st.sampled_from(["0", "-1", "5", "8", "9223372036854775807"])
texts = st.sampled_from(["country", "channel", "transaction_type", "model_version"])
text_literals = st.sampled_from([*(f'"{text}"' for text in TEXTS), "'refund'", "'say \"x\"'"])
flags = st.sampled_from(["is_night", "has_place", "is_outlier", "is_anonymous_user"])


def compared(
    names: st.SearchStrategy[str], literals: st.SearchStrategy[str]
) -> st.SearchStrategy[str]:
    some = st.lists(literals, min_size=1, max_size=3).map(lambda items: f"[{', '.join(items)}]")
    return st.one_of(
        joined(names, operators, literals),
        joined(names, operators, names),
        joined(names, st.just("in"), some),
    )


plain = st.one_of(
    compared(doubles, double_literals),
    joined(sums, operators, doubles | double_literals | sums),
    joined(double_literals | sums, operators, doubles),
    compared(ints, int_literals),
    compared(texts, text_literals),
    flags,
    flags.map("!{}".format),
    joined(flags, operators, flags),
)
# what only CEL understands; some of it fails on some rows
others = st.sampled_from(
    [
        "sum_24h + amount * 2.0 >= 2000.0",
        "cnt_1h + cnt_30d > 5",
        'country + channel == "DEpos"',
        "(amount > 5.0)",
        "!(amount > 5.0)",
        "-amount < 0.0",
        "10 / (cnt_1h - 7) > 1",
        "cnt_1h % (cnt_30d - 25) == 0",
        "true",
        "false",
        "is_night == true",
        'channel.startsWith("p")',
        'country != r"DE"',
        r'country != "\u00e9"',
        "amount >= 1e3",
        "[1, 2].exists(n, n == cnt_1h)",
        "0.5 < probability",
        "(is_night ? amount : sum_24h) > 10.0",
    ]
)
links = st.sampled_from([" && ", "&&", " || ", " && // note\n", "\n  && ", " ? has_home : "])


@st.composite
def rules_text(draw: st.DrawFn) -> str:
    text = draw(plain | others)
    for _ in range(draw(st.integers(0, 4))):
        text += draw(links) + draw(plain | plain | others)
    return text + draw(st.sampled_from(["", "", " ", "\n", " // && false"]))


@settings(deadline=None, max_examples=150)
@given(whens=st.lists(rules_text(), min_size=1, max_size=8), some=st.lists(rows, max_size=8))
def test_any_rules_match_what_cel_alone_says(
    table: Table, whens: list[str], some: list[RuleEvidence]
) -> None:
    try:
        rules = compiled(table, *whens)
    except RuleFileError:
        return  # a rule that fails on a plain row, or of the wrong type
    for row in some:
        assert rules.find(row) == rules.find_by_cel(row)


@pytest.mark.parametrize(
    ("when", "conditions", "is_whole"),
    [
        ("cnt_1h >= 8", 1, True),
        ("cnt_1h >= 8 && !is_night && amount < sum_24h", 3, True),
        ('channel in ["pos", "atm"] && has_place', 2, True),
        ("amount >= 5.0 && sum_24h + amount > 9.0 && has_place", 3, True),
        ("amount >= 5.0 && sum_24h + amount + avg_30d > 9.0 && has_place", 1, False),
        ("probability >= threshold_review / 2.0", 1, True),
        ("probability >= threshold_review / 0.0", 0, False),
        ("amount / sum_24h >= 2.0", 0, False),
        ("cnt_1h + 1 >= cnt_30d", 0, False),
        ('country + channel == "DEpos"', 0, False),
        ("amount >= 5.0 || has_place", 0, False),
        ("has_place && (amount >= 5.0 || is_night)", 0, False),
        ("amount >= 5.0 // && has_place", 0, False),
        ("10 / (cnt_1h - 7) > 1 && amount > 5.0", 0, False),
        ("is_night == true", 0, False),
        ("amount > 5.0 && is_night ? has_place : has_home", 0, False),
        (r'country == "\x44"', 0, False),
        ('country == r"DE"', 0, False),
        ('country == """DE"""', 0, False),
    ],
)
def test_only_plain_comparisons_at_the_beginning_are_asked_without_cel(
    table: Table, when: str, conditions: int, is_whole: bool
) -> None:
    compiled(table, when)
    beginning = plain_beginning(when, table)
    assert (len(beginning.conditions), beginning.is_whole) == (conditions, is_whole)


def test_a_rule_that_would_fail_behind_a_false_comparison_does_not_fail(table: Table) -> None:
    rules = compiled(table, "amount > 1000.0 && 10 / (cnt_1h - 7) > 1")
    row = make_evidence({"cnt_1h": 7.0})
    assert rules.find(row) == rules.find_by_cel(row) == ((), ())


def test_a_text_that_cel_cannot_take_fails_the_rule_that_needs_it(table: Table) -> None:
    rules = compiled(table, "amount > 1.0", 'user_id.startsWith("x")')
    row = make_evidence(user_id="\ud800")
    assert rules.find(row) == rules.find_by_cel(row) == (rules.rules[:1], rules.rules[1:])


def test_many_rules_that_need_cel_are_asked_at_once_with_the_same_result(table: Table) -> None:
    rules = compiled(table, *(f"(amount + {n}.0) > {40 + n}.5" for n in range(20)), "amount > 3.0")
    for amount in (PLAIN_TRANSACTION["amount"], 41.0):
        row = make_evidence(amount=amount)
        assert rules.find(row) == rules.find_by_cel(row)
    assert len(rules.find(row).matched) == 21
