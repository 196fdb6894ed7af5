"""A declaration with a column of every kind, as files of it are written."""

from datetime import UTC, datetime

from shared.clock import to_micros
from shared.rows.declaration import Declaration, parse_declaration

NOW_US = to_micros(datetime(2026, 6, 1, tzinfo=UTC))
TOML = """
[use_case]
name = "churn"
task = "binary"
entity = "customer"
time = "as_of"
[label]
column = "churned"
positive = "yes"
negative = "no"
delay = "10d"
[columns]
charge = { kind = "number", min = 0, max = 1000 }
contract = { kind = "category", values = ["month", "year"] }
payment = { kind = "category", required = false }
fibre = "flag"
last_call = { kind = "moment", required = false, from = "Last Call" }
"""
HEADER = "customer,as_of,charge,contract,payment,fibre,Last Call,churned"


def declaration(text: str = TOML) -> Declaration:
    return parse_declaration(text)
