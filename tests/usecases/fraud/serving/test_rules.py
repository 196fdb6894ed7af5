"""Rules: compiled and type-checked at load, evaluated without ever failing a request."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.usecase.serving import FeatureSet
from tests.support.fraud_rules import Table, compiled, rule
from usecases.fraud.rules.rulefile import MAX_RULES, RuleFileError, read_rule_file
from usecases.fraud.rules.ruleset import RuleSet, load_rules
from usecases.fraud.rules.variables import variable_table


@pytest.mark.parametrize(
    ("when", "hint"),
    [
        ('amount > "1000"', "double, string"),
        ("amount > 1000", "write 1.0 with a double"),
        ("cnt_1h > 5.5", "write 1.0 with a double"),
        ('country == "DE" || amount == "x"', "double, string"),
        ('false && country == 5.0 || hour == "x"', "string, double"),
        ("has_place ? amount > 1.0 : country", "bool, string"),
        ("country in [1, 2]", "string, list"),
        ("amuont > 1000.0", "lists what a rule may use"),
        ("true || amuont > 1000.0", "lists what a rule may use"),
        ("amount", "must be true or false"),
        ("amount >", "Syntax error"),
        ("amount > 1.0) || (true", "Syntax error"),
        ('country.matches("x(")', "regular expression"),
        ("10 / int(amount) > 1", "divide by zero"),
    ],
)
def test_a_faulty_rule_is_refused_at_load_and_named(table: Table, when: str, hint: str) -> None:
    with pytest.raises(RuleFileError) as refusal:
        RuleSet([rule(when)], "1.0.0", table)
    assert str(refusal.value).startswith("rule probe: ")
    assert hint in str(refusal.value)


@pytest.mark.parametrize(
    "when",
    [
        '__import__("os").system("touch pwned") == 0',
        "amount.__class__.__mro__.size() > 0",
        "(lambda: true)()",
        "[x for x in ().__class__.__bases__]",
        'open("/etc/passwd").read() == ""',
        "exec('import os')",
        "{{ 7 * 7 }}",
        "${amount}",
    ],
)
def test_an_attempt_to_run_code_is_only_an_expression_that_does_not_compile(
    table: Table, when: str
) -> None:
    with pytest.raises(RuleFileError, match=r"^rule probe: "):
        RuleSet([rule(when)], "1.0.0", table)


def test_a_rule_that_iterates_without_end_is_refused(table: Table) -> None:
    inner = "a > 0"
    for name in "abcde":
        inner = f"[1,2,3,4,5,6,7,8,9,10].all({name}, {inner})"
    with pytest.raises(RuleFileError, match="budget"):
        RuleSet([rule(inner)], "1.0.0", table)


def test_a_shown_name_must_be_a_variable(table: Table) -> None:
    with pytest.raises(RuleFileError, match="shows 'amuont'"):
        RuleSet([rule("amount > 1.0", shows=("amuont",))], "1.0.0", table)


def test_two_rules_with_one_id_are_refused(table: Table) -> None:
    with pytest.raises(RuleFileError, match="probe: stated 2 times"):
        RuleSet([rule("true"), rule("false")], "1.0.0", table)


def test_matches_come_in_file_order(table: Table, evidence: Any) -> None:
    rules = compiled(table, "amount > 30.0", "amount > 50.0", 'country == ""', "cnt_30d == 25")
    findings = rules.find(evidence())
    assert [r.id for r in findings.matched] == ["probe_0", "probe_2", "probe_3"]
    assert findings.failed == ()


def test_a_comment_at_the_end_of_a_rule_does_not_swallow_the_next(
    table: Table, evidence: Any
) -> None:
    rules = compiled(table, "amount > 30.0 // note", "amount > 30.0")
    assert len(rules.find(evidence()).matched) == 2


def test_a_file_without_rules_finds_nothing(table: Table, evidence: Any) -> None:
    findings = RuleSet([], "1.0.0", table).find(evidence())
    assert (findings.matched, findings.failed) == ((), ())


def test_a_rule_that_fails_on_one_row_is_counted_and_the_others_still_count(
    table: Table, evidence: Any
) -> None:
    rules = compiled(table, "amount > 30.0", "10 / (cnt_1h - 7) > 1", "amount > 50.0")
    row = evidence(features={"cnt_1h": 7.0})
    with capture_logs() as logs:
        for _ in range(5):
            findings = rules.find(row)
    assert [r.id for r in findings.matched] == ["probe_0"]
    assert [r.id for r in findings.failed] == ["probe_1"]
    assert rules.failures == {"probe_1": 5}
    assert [entry["times"] for entry in logs] == [1, 2, 4]
    assert rules.find(evidence()).failed == ()


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_feature_that_is_no_number_fails_the_rules_not_the_request(
    table: Table, evidence: Any, broken: float
) -> None:
    rules = compiled(table, "cnt_1h > 3", "amount > 1.0")
    findings = rules.find(evidence(features={"cnt_1h": broken}))
    assert findings.matched == ()
    assert len(findings.failed) == 2


def test_rules_see_fields_features_scores_and_thresholds(table: Table, evidence: Any) -> None:
    rules = compiled(
        table,
        'channel == "pos" && device_id == "" && !has_home && has_place && lat == 1.5',
        "hour == 12 && day_of_week == 0 && !is_anonymous_user",
        "isolation_forest > threshold_isolation_forest && is_outlier && anomaly_score > 1.0",
        'probability < threshold_review && model_version == "1.0.3"',
        "distinct_merchants_24h == 4 && !is_night && cnt_24h_vs_30d_daily == 0.5",
    )
    row = evidence(
        features={"distinct_merchants_24h": 4.0, "cnt_24h_vs_30d_daily": 0.5},
        scores=(0.1, 0.7, 0.1),
        channel="pos",
        lat=1.5,
        lon=2.0,
        utc_offset_min=120,
    )
    assert len(rules.find(row).matched) == 5


def test_a_field_outranks_the_feature_of_the_same_name(table: Table, evidence: Any) -> None:
    # 0.1 is not a float32; only the field keeps it
    assert compiled(table, "amount == 0.1").find(evidence(amount=0.1)).matched


def test_every_feature_of_the_set_is_a_variable() -> None:
    features = FeatureSet("9", ("brand_new", "is_odd"), {"brand_new": "x", "is_odd": "x"})
    table = variable_table(features)
    assert table["brand_new"].type == "double"
    assert table["is_odd"].type == "bool"


HEAD = 'format = 1\nversion = "1.0.0"\n'
RULE = (
    '[[rule]]\nid = "big"\nwhen = "amount > 9.0"\noutcome = "block"\n'
    'reason_code = "BIG"\nmessage = "big"\n'
)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("not toml", "cannot be read as TOML"),
        ("", "format: Field required"),
        ('format = 2\nversion = "1.0.0"', "format"),
        ('format = 1\nversion = "one"', "version"),
        (HEAD + RULE.replace("block", "explode"), "rule big: outcome"),
        (HEAD + RULE.replace("BIG", "big"), "rule big: reason_code"),
        (HEAD + RULE + 'severity = "high"\n', "rule big: severity"),
        (HEAD + RULE.replace('message = "big"\n', ""), "rule big: message: Field required"),
        (HEAD + "rule = 3", "rule"),
        (HEAD + "rule = [3]", "rule"),
        (HEAD + RULE * (MAX_RULES + 1), "rule"),
        (HEAD + RULE.replace("9.0", "9"), "rule big"),
    ],
)
def test_a_file_of_the_wrong_shape_says_where(
    tmp_path: Path, table: Table, text: str, hint: str
) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RuleFileError) as refusal:
        load_rules(path, table)
    assert str(refusal.value).startswith(f"rule file {path}: ")
    assert hint in str(refusal.value)


def test_a_missing_file_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(RuleFileError, match=r"absent\.toml"):
        read_rule_file(tmp_path / "absent.toml")


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "usecases.fraud.rules", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_check_command_names_the_fault_and_fails(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(HEAD + RULE.replace("amount", "amuont"), encoding="utf-8")
    outcome = run_command("check", str(path))
    assert outcome.returncode == 1
    assert "rule big" in outcome.stderr
    path.write_text(HEAD + RULE, encoding="utf-8")
    outcome = run_command("check", str(path))
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert "1 rules, all sound" in outcome.stdout


def test_the_documented_table_of_variables_is_the_real_one() -> None:
    table = run_command("variables").stdout
    assert table.count("\n") > 60
    assert table in Path("docs/rules.md").read_text(encoding="utf-8")
