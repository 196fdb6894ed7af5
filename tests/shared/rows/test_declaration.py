"""usecase.toml is read strictly; every fault names its key and says what to do."""

from pathlib import Path

import pytest

from shared.rows.declaration import DeclarationError, parse_declaration, read_declaration
from shared.rows.quantities import HeldOut, SliceRule
from shared.rows.schema import Kind, MomentPart
from shared.tasks import Margin, TaskKind

DAY_US = 86_400_000_000

CHURN = """
[use_case]
name = "churn"
version = 1
task = "binary"
entity = "customer_id"
time = "as_of"

[label]
column = "churned"
positive = "yes"
delay = "30d"

[columns]
tenure_months = "number"
monthly_charges = { kind = "number", min = 0, max = 10000 }
contract = { kind = "category", values = ["month", "year", "two years"] }
payment = "category"
has_fibre = "flag"
last_call = { kind = "moment", as = "age_days" }

[source]
files = "customers.csv"

[train]
model = "gradient_boosting"
window = "720d"

[judge]
metric = "average_precision"
margin = "2 %"
guards = { log_loss = "2 %" }
floors = { average_precision = 0.2 }
slices = ["contract", "tenure_months / 4"]
rounds_per_year = 12
held_out = "60d"
folds = 5

[serve]
reasons = 3
"""


def test_the_declaration_of_the_handbook_is_read_whole() -> None:
    declared = parse_declaration(CHURN)
    schema = declared.row_schema
    assert (schema.name, schema.version, schema.task.kind) == ("churn", 1, TaskKind.BINARY)
    assert schema.task.names == ("not yes", "yes")
    assert (schema.roles.entity, schema.roles.time, schema.roles.label) == (
        "customer_id",
        "as_of",
        "churned",
    )
    assert schema.roles.delay_us == 30 * DAY_US
    assert [column.kind for column in schema.columns] == [
        Kind.NUMBER,
        Kind.NUMBER,
        Kind.CATEGORY,
        Kind.CATEGORY,
        Kind.FLAG,
        Kind.MOMENT,
    ]
    assert schema.column("monthly_charges").maximum == 10_000
    assert schema.column("payment").is_open
    assert schema.column("last_call").parts == (MomentPart.AGE_DAYS,)
    assert declared.judge.margin == Margin(0.02, is_relative=True)
    assert declared.judge.slices == (SliceRule("contract", None), SliceRule("tenure_months", 4))
    assert declared.held_out == HeldOut(60 * DAY_US, None)
    assert declared.train.window == 720 * DAY_US


def changed(old: str, new: str) -> str:
    assert old in CHURN
    return CHURN.replace(old, new)


FAULTS = {
    "an unknown section": (changed("[serve]", "[server]"), ["server", "write 'serve'"]),
    "an unknown key": (changed("entity =", "entitty ="), ["use_case.entitty", "write 'entity'"]),
    "an unknown key of a column": (
        changed("min = 0,", "minimun = 0,"),
        ["columns.monthly_charges.minimun", "remove it"],
    ),
    "a kind that does not exist": (
        changed('tenure_months = "number"', 'tenure_months = "integer"'),
        ["columns.tenure_months.kind = 'integer'", "'number', 'flag', 'category' or 'moment'"],
    ),
    "an option of another kind": (
        changed('payment = "category"', 'payment = { kind = "category", min = 1 }'),
        ["columns.payment.min", "change the kind"],
    ),
    "a column named twice": (
        changed('has_fibre = "flag"', 'payment = "flag"'),
        ["'payment' for the second time", "keep one"],
    ),
    "the label among the columns": (
        changed('has_fibre = "flag"', 'churned = "flag"'),
        ["columns.churned is label.column too", "remove it from [columns]"],
    ),
    "the label under another name": (
        changed('has_fibre = "flag"', 'fibre = { kind = "flag", from = "churned" }'),
        ["columns.fibre is label.column too", "remove it"],
    ),
    "the entity among the columns": (
        changed('has_fibre = "flag"', 'customer_id = "category"'),
        ["columns.customer_id is use_case.entity too", "remove it"],
    ),
    "no time": (changed('time = "as_of"', ""), ["use_case.time is missing", "no_time = true"]),
    "a time and none": (
        changed('time = "as_of"', 'time = "as_of"\nno_time = true'),
        ["use_case.no_time contradicts", "remove one"],
    ),
    "no positive class": (changed('positive = "yes"', ""), ["label.positive is missing"]),
    "classes for a binary task": (
        changed('positive = "yes"', 'positive = "yes"\nclasses = ["a", "b"]'),
        ["label.classes has no meaning", "remove it"],
    ),
    "a negative class that is the positive": (
        changed('positive = "yes"', 'positive = "yes"\nnegative = "yes"'),
        ["label.negative = 'yes'", "name the other class"],
    ),
    "an unknown task": (
        changed('task = "binary"', 'task = "forecast"'),
        ["use_case.task = 'forecast'", "'regression'"],
    ),
    "a metric of another task": (
        changed('metric = "average_precision"', 'metric = "rmse"'),
        ["judge.metric = 'rmse'", "average_precision"],
    ),
    "a guard that is the metric": (
        changed("{ log_loss =", "{ average_precision ="),
        ["judge.guards", "judge.margin"],
    ),
    "a slice of a column that does not exist": (
        changed('["contract",', '["contrakt",'),
        ["judge.slices", "'contrakt'"],
    ),
    "a slice of numbers without parts": (
        changed("tenure_months / 4", "tenure_months"),
        ["judge.slices", 'write "tenure_months / 4"'],
    ),
    "a duration nobody can read": (
        changed('window = "720d"', 'window = "two years"'),
        ["train.window = 'two years'", '"30d"'],
    ),
    "a share held out although there is a time": (
        changed('held_out = "60d"', 'held_out = "20 %"'),
        ["judge.held_out", "duration"],
    ),
    "bounds that are exchanged": (
        changed("min = 0, max = 10000", "min = 5, max = 1"),
        ["columns.monthly_charges", "exchange them"],
    ),
    "a word twice": (
        changed('["month", "year",', '["month", "month",'),
        ["columns.contract.values names 'month' twice"],
    ),
    "a reserved name": (
        changed('has_fibre = "flag"', 'label = "flag"'),
        ["columns.label", 'label_value = { kind = "flag", from = "label" }'],
    ),
    "a name of every request": (
        changed('has_fibre = "flag"', 'model_config = "flag"'),
        ["columns.model_config", 'model_config_value = { kind = "flag", from = "model_config" }'],
    ),
    "a time zone that does not exist": (
        changed("[serve]", '[time]\nzone = "Europe/Pariss"\n[serve]'),
        ["time.zone = 'Europe/Pariss'", 'e.g. "UTC"'],
    ),
    "a delay beyond all instants": (
        changed('window = "720d"', 'window = "99999999999d"'),
        ["train.window", "at most a hundred years"],
    ),
    "a duration beyond all numbers": (
        changed('window = "720d"', f'window = "{"9" * 400}d"'),
        ["train.window", "at most a hundred years"],
    ),
    "an encoding that is of no text": (
        changed("[serve]", '[csv]\nencoding = "hex"\n[serve]'),
        ["csv.encoding = 'hex'", 'e.g. "utf8"'],
    ),
    "a name with blanks": (
        changed('has_fibre = "flag"', '"has fibre" = "flag"'),
        ["has fibre", "small letters"],
    ),
    "two sources": (
        changed('files = "customers.csv"', 'files = "c.csv"\nsql = "select 1"'),
        ["source.files and source.sql", "remove the other"],
    ),
    "a default and required": (
        changed('has_fibre = "flag"', 'f = { kind = "flag", default = true, required = true }'),
        ["columns.f.default", "remove one"],
    ),
    "a number as text": (changed("version = 1", 'version = "1"'), ["use_case.version = '1'"]),
    "no columns": (
        CHURN[: CHURN.index("tenure_months")] + CHURN[CHURN.index("[source]") :],
        ["columns is empty", "at least 1"],
    ),
    "a default of another kind": (
        changed('has_fibre = "flag"', 'f = { kind = "flag", default = "yes" }'),
        ["columns.f.default = 'yes' is not a flag", "true or false"],
    ),
    "a default outside of the bounds": (
        changed("min = 0, max = 10000", "max = 10, default = 11"),
        ["columns.monthly_charges.default = 11", "outside of min and max"],
    ),
    "text that is not TOML": (changed("[serve]", "[serve"), ["line 39", "is not TOML"]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_names_the_key_and_the_remedy(name: str) -> None:
    text, parts = FAULTS[name]
    with pytest.raises(DeclarationError) as raised:
        parse_declaration(text)
    for part in ("usecase.toml", *parts):
        assert part in str(raised.value)
    assert "\n" not in str(raised.value)


def test_several_faults_are_named_together() -> None:
    text = changed("entity =", "entitty =").replace('"720d"', '"long"')
    with pytest.raises(DeclarationError, match=r"use_case\.entitty.*train\.window"):
        parse_declaration(text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"cannot read .*usecase\.toml: No such file"):
        read_declaration(tmp_path / "usecase.toml")


def test_the_other_tasks_are_declared_by_what_their_label_is() -> None:
    iris = parse_declaration(
        '[use_case]\nname = "iris"\ntask = "multiclass"\nno_time = true\n'
        '[label]\ncolumn = "species"\nclasses = ["setosa", "virginica", "versicolor"]\n'
        '[columns]\npetal = { kind = "number", from = "petal length (cm)" }\n'
    )
    assert iris.row_schema.task.names == ("setosa", "virginica", "versicolor")
    assert iris.row_schema.column("petal").source == "petal length (cm)"
    assert iris.held_out == HeldOut(None, 0.2)
    assert iris.metric == "log_loss"
    ranking = parse_declaration(
        '[use_case]\nname = "taste"\ntask = "ranking"\ntime = "at"\n[label]\nitems = "rating_*"\n'
        '[columns]\nage = "number"\nrating_a = "number"\nrating_b = "number"\n'
    )
    assert ranking.row_schema.roles.items == ("rating_a", "rating_b")


def test_parts_of_the_calendar_may_be_read_from_the_time_of_the_row() -> None:
    text = changed(
        'has_fibre = "flag"', 'month = { kind = "moment", from = "as_of", as = ["month", "hour"] }'
    )
    assert parse_declaration(text).row_schema.column("month").source == "as_of"
    with pytest.raises(DeclarationError, match=r"columns\.month is use_case\.time too"):
        parse_declaration(text.replace('["month", "hour"]', '"age_days"'))
