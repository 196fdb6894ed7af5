"""Pages show every use case that ships: their tables, tasks and words are not those of one."""

import json
from typing import Any

import numpy as np
import pytest
from sqlalchemy import insert

import usecases
from shared.rows.declaration import read_declaration
from shared.rows.tables import tables_of
from shared.tables.schema import api_transaction_logs
from shared.tasks import TaskKind
from tests.support.console_bench import Bench
from tests.support.shipped_use_cases import shipped_names

DECLARED = [name for name in shipped_names() if usecases.declared_folder(name) is not None]


def serve(bench: Bench, use_case: str, *activated_at_us: int) -> None:
    """Version 1.0.0 of a use case is live."""
    registry = bench.folder / "registry"
    folder = registry / "versions" / "1.0.0"
    folder.mkdir(parents=True)
    head = {"version": "1.0.0", "sha256": "a" * 64, "key_id": "k", "accepted_at_us": 1}
    meta = {**head, "size_bytes": 1, "manifest": {"use_case": use_case}}
    (folder / "meta.json").write_text(json.dumps(meta))
    (registry / "current_version.txt").write_text("1.0.0\n")
    activations = [{"version": "1.0.0", "activated_at_us": at} for at in activated_at_us or (1,)]
    ledger = {"accepted": {"1.0.0": head}, "activations": activations}
    (registry / "ledger.json").write_text(json.dumps(ledger))


def answers(kind: TaskKind, number: int) -> dict[str, Any]:
    score = 100.0 + number if kind is TaskKind.REGRESSION else (number % 10) / 10
    decision = None if kind is TaskKind.REGRESSION else ("yes", "no", "perhaps")[number % 3]
    return {"score": score, "decision": decision}


def decide(bench: Bench, name: str) -> str:
    """Thirty decisions of a declared use case; returns their table."""
    folder = usecases.declared_folder(name)
    assert folder is not None
    schema = read_declaration(folder / usecases.DECLARATION).row_schema
    tables = tables_of(schema)
    with bench.engine.begin() as connection:
        for table in tables.all:
            table.create(connection)
        rows = [
            {"row_id": f"r-{n}", "decided_at": 10 + n, "model_version": "1.0.0",
             "reason_codes": [], "latency_ms": 1.0, "feature_vector": np.zeros(3).tobytes(),
             **answers(schema.task.kind, n)}
            for n in range(30)
        ]  # fmt: skip
        connection.execute(insert(tables.decisions), rows)
    return tables.decisions.name


@pytest.mark.parametrize("name", DECLARED)
def test_traffic_shows_the_decisions_of_a_declared_use_case(bench: Bench, name: str) -> None:
    table = decide(bench, name)
    serve(bench, name)
    told = bench.browser().get("/traffic.json").json()
    assert (told["table"], told["since"]["rows"]) == (table, 30)
    assert sum(told["since"]["histogram"]) == 30
    assert sum(one["rows"] for one in told["decisions"]) == 30
    page = bench.browser().get("/traffic")
    assert page.status_code == 200
    assert "The newest 30 decisions" in page.text


def test_before_the_first_decision_of_a_version_there_are_no_shares_of_it(bench: Bench) -> None:
    decide(bench, "churn")
    serve(bench, "churn", 1, 1_000)
    told = bench.browser().get("/traffic.json").json()
    assert {one["share"] for one in told["decisions"]} == {None}
    assert sum(one["share_before"] for one in told["decisions"]) == pytest.approx(1)
    page = bench.browser().get("/traffic").text
    assert "Nothing has been decided since 1.0.0 went live; 30 decisions before it" in page
    assert "0.0%" not in page


def test_a_row_counts_since_the_swap_when_it_was_decided_not_when_it_happened(bench: Bench) -> None:
    transactions = [
        {"transaction_id": f"t-{n}", "user_id": "u", "event_time": 500 - n, "ingested_at": 900 + n,
         "amount": 1.0, "currency": "EUR", "merchant_id": "m", "transaction_type": "purchase",
         "decision": "approve", "model_version": "1.0.0"}
        for n in range(200)
    ]  # fmt: skip
    with bench.engine.begin() as connection:
        connection.execute(insert(api_transaction_logs), transactions)
    serve(bench, usecases.DEFAULT, 1, 1_000)
    told = bench.browser().get("/traffic.json").json()
    assert (told["since"]["rows"], told["before"]["rows"]) == (100, 100)
    assert (told["since"]["from_us"], told["before"]["until_us"]) == (1_000, 999)


def test_a_raised_declaration_shows_the_tables_of_its_newest_version(bench: Bench) -> None:
    with bench.engine.begin() as connection:
        for version in (2, 10, 9):
            connection.exec_driver_sql(
                f"CREATE TABLE churn_v{version}_decisions (row_id TEXT, decided_at BIGINT, "
                "decision TEXT, model_version TEXT, score FLOAT, latency_ms FLOAT, "
                "reason_codes JSON)"
            )
    serve(bench, "churn")
    assert bench.browser().get("/traffic.json").json()["table"] == "churn_v10_decisions"


def test_a_use_case_of_transactions_shows_its_own_table(bench: Bench) -> None:
    serve(bench, usecases.DEFAULT)
    assert bench.browser().get("/traffic.json").json()["table"] == "apitransactionlogs"
