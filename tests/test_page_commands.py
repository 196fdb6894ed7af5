"""Every command of every page is run as it stands, or is on a list that says why it cannot be.

What a page shows as an example of the reader's own (a version, the number of an import) is
replaced by what this reader has; nothing else of a command is changed.
"""

import csv
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.small_world import write_small_world
from shared.clock import SystemClock
from shared.instant_texts import instant_us, read_instant
from shared.tables.engine import connect, migrate
from tests.support.page_reader import Reader, reader_in
from tests.support.pages import PageCommand, commands_of, pages

OWN_TEST = "tests/usecases/test_readme.py follows this page"
CONTAINERS = "tests/e2e/test_compose.py runs it"
A_SUITE = "CI runs it (.ci/run); a test cannot contain the suite that it is part of"
HANDBOOK = "needs the Handbook's data set, which its authors publish and we do not ship"
RIVALS = "downloads other products, and measures for an hour"

NOT_RUN_HERE = {
    ("README.md", "make demo"): "tests/understudy/test_demo.py plays it",
    ("README.md", "make test"): A_SUITE,
    ("CONTRIBUTING.md", "make check"): A_SUITE,
    ("CONTRIBUTING.md", "make test"): A_SUITE,
    ("CONTRIBUTING.md", "make bench-cycle"): "takes minutes of a quiet machine",
    ("benchmarks/README.md", ""): RIVALS,
    ("docs/handbook.md", ""): HANDBOOK,
    ("docs/operations/approval.md", "understudy approve 1"): (
        "needs a candidate that waits for a person: tests/api/test_approvals.py has one"
    ),
    ("monitoring/README.md", "understudy rehearse"): (
        "needs Prometheus: tests/monitoring/test_rehearsal.py runs it"
    ),
    ("docs/operations/replay.md", "understudy import handbook"): HANDBOOK,
    ("docs/operations/replay.md", "understudy replay --from 2018"): HANDBOOK,
    ("docs/operations/backup.md", "install -d -o 10001"): CONTAINERS,
    ("docs/operations/backup.md", "docker compose"): CONTAINERS,
    ("docs/operations/serving.md", "API_WORKERS=4 docker compose"): CONTAINERS,
    ("docs/operations/commands.md", "docker compose"): CONTAINERS,
    ("docs/operations/hosts.md", ""): "tests/hosts/test_hosts_page.py follows this page",
    ("monitoring/README.md", "docker compose"): "pulls images, and there is no registry here",
    ("usecases/README.md", ""): OWN_TEST,
    ("deploy/compose/README.md", ""): "tests/e2e/test_compose_ray.py types them",
    ("deploy/kubernetes/README.md", ""): (
        "needs a cluster; tests/deploy/test_kubernetes.py types what needs none"
    ),
}
"""(page, what the command begins with) -> why."""

STATUS = {
    # none, where no traced request failed
    "grep trace_id": frozenset({0, 1}),
    "understudy drift": frozenset({0, 1, 3}),
    ".venv/bin/understudy drift": frozenset({0, 1, 3}),
    ".venv/bin/understudy retrain --wait": frozenset({0, 3}),
}
"""Commands that say something by their exit status (docs/operations/commands.md)."""

FOLLOWED = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/importing.md",
    "docs/operations/README.md",
    "docs/operations/approval.md",
    "docs/operations/backup.md",
    "docs/operations/drift.md",
    "docs/operations/lake.md",
    "docs/operations/replay.md",
    "docs/operations/retention.md",
    "docs/operations/rollout.md",
    "docs/operations/scheduler.md",
    "docs/operations/serving.md",
    "docs/operations/traces.md",
    "docs/rules.md",
    "docs/security.md",
    "usecases/fraud/README.md",
)
ROWS = 4_000


def reason_not_to(command: PageCommand) -> str | None:
    return next(
        (
            why
            for (page, begin), why in NOT_RUN_HERE.items()
            if page == command.page and command.text.startswith(begin)
        ),
        None,
    )


def test_every_command_of_every_page_is_run_or_has_a_reason_why_not() -> None:
    forgotten = [
        str(command)
        for page in pages()
        for command in commands_of(page)
        if page not in FOLLOWED and reason_not_to(command) is None
    ]
    assert forgotten == []


def test_every_reason_is_about_a_command_that_is_still_there() -> None:
    said = [
        (page, begin)
        for page, begin in NOT_RUN_HERE
        if not any(one.text.startswith(begin) for one in commands_of(page))
    ]
    assert said == []


def follow(reader: Reader, *commands: PageCommand) -> None:
    for command in commands:
        if reason_not_to(command) is None:
            reader.do(command, STATUS.get(_known(command.text), frozenset({0})))


def _known(text: str) -> str:
    return next((begin for begin in STATUS if text.startswith(begin)), "")


def block(page: str, first: str, last: str | None = None) -> list[PageCommand]:
    """The commands of a page from one to another, which are named by how they begin."""
    found = commands_of(page)
    begin = next(place for place, one in enumerate(found) if one.text.startswith(first))
    if last is None:
        return found[begin : begin + 1]
    end = next(place for place, one in enumerate(found) if one.text.startswith(last))
    assert end > begin
    return found[begin : end + 1]


def write_world(file: Path, now_us: int, rows: int = ROWS) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    engine = connect(f"sqlite:///{file}")
    migrate(engine)
    write_small_world(engine, now_us, rows)
    engine.dispose()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """A copy with a small world in place of the 150 days that a first start simulates."""
    reader = reader_in(tmp_path_factory.mktemp("reader"))
    write_world(reader.tree / "var" / "understudy.db", SystemClock().now_us())
    return reader


@pytest.fixture
def reader(prepared: Reader) -> Iterator[Reader]:
    yield prepared
    prepared.stop()


@pytest.mark.slow
def test_what_readme_and_operations_say_works_with_one_running_pair(reader: Reader) -> None:
    reader.serve(block("README.md", "make run")[0])
    follow(reader, *block("README.md", "curl -s http://127.0.0.1:8000/predict"))
    follow(reader, *block("README.md", "curl -s http://127.0.0.1:8000/current_model"))
    next_steps = block("README.md", ".venv/bin/understudy retrain", "curl -s -X POST")
    back = next(one for one in next_steps if " rollback " in one.text)
    follow(reader, *next_steps[: next_steps.index(back)])
    if reader.version() == "1.0.0":
        reader.push("1.0.1")
    follow(reader, *next_steps[next_steps.index(back) :])
    assert reader.version() == "1.0.0"

    reader.do('understudy rollback --to 1.0.1 --reason "for the next page"')
    follow(reader, *commands_of("docs/operations/README.md"))
    follow(reader, *commands_of("docs/operations/scheduler.md"), *commands_of("docs/rules.md"))
    _follow_rollouts(reader)
    follow(reader, *commands_of("docs/operations/approval.md"))
    follow(reader, *commands_of("docs/operations/backup.md"))
    follow(reader, *commands_of("docs/operations/retention.md"))

    reader.words = {"1.0.3": "1.2.0"}
    reader.push("1.2.0")
    follow(reader, *commands_of("docs/operations/drift.md"))
    follow(reader, *block("docs/operations/serving.md", "understudy rollback"))
    reader.do('understudy rollback --to 1.2.0 --reason "for the next page"')
    follow(reader, *block("docs/operations/serving.md", "curl"))
    follow(reader, *commands_of("docs/security.md"))
    reader.words = {}


def _follow_rollouts(reader: Reader) -> None:
    decisions, *by_hand = commands_of("docs/operations/rollout.md")
    show, advance, abort, read, end, step = by_hand
    reader.push("1.0.2", "canary")
    reader.wait_for((reader.tree / "retrained_models/1.0.2/rollout.jsonl").is_file)
    follow(reader, decisions, show, advance, abort, read)
    for number, command in (("1.1.0", end), ("1.1.1", step)):
        reader.push(number, "canary")
        reader.words = {"1.0.2": number}
        follow(reader, command)
    reader.words = {}
    reader.do('understudy rollout abort --reason "for the next page"', frozenset({0, 2}))


@pytest.mark.slow
def test_what_the_pages_say_of_own_rows_works_from_the_reset_to_a_served_model(
    reader: Reader,
) -> None:
    reset, *others = block("README.md", ".venv/bin/understudy reset", "SEED_EMPTY_DATABASE=false .")
    write_export(reader.tree / "var" / "understudy.db", reader.tree / "transactions.csv")
    follow(reader, reset, *others[:-2])
    mapping, *imports = block("docs/importing.md", "understudy mapping", "understudy import tr")
    (reader.tree / "mapping.toml").unlink()
    follow(reader, mapping, *imports)
    reader.words = {"--import 7": "--import 1"}
    with (reader.tree / "transactions.csv").open() as export:
        old = next(csv.DictReader(export))["id"]
    ages_ago = "--set event_time=1999-12-31T00:00:00Z"
    reader.do(f'understudy rows fix --id "{old}" {ages_ago} --reason "for the page" --yes')
    follow(reader, *block("docs/importing.md", "understudy rows find", "understudy rows remove"))
    reader.words = {}
    as_of = [one for one in commands_of("docs/importing.md") if "--as-of" in one.text]
    for command in (*others[-2:], *as_of):
        reader.serve(command, "/livez" if "2019" in command.text else "/readyz")
        reader.stop()


@pytest.mark.slow
def test_what_the_page_of_the_lake_says_works(tmp_path: Path) -> None:
    reader = reader_in(tmp_path)
    database = reader.tree / "var" / "understudy.db"
    write_world(database, SystemClock().now_us())
    write_export(database, reader.tree / "transactions.csv")
    follow(reader, *block("docs/importing.md", "understudy mapping"))
    follow(reader, *commands_of("docs/operations/lake.md"))


_EXPORTED = """
SELECT transaction_id AS id, user_id AS account,
       strftime('%Y-%m-%dT%H:%M:%SZ', event_time / 1000000, 'unixepoch') AS booked_at,
       amount, currency, merchant_id AS merchant, transaction_type AS type,
       merchant_category AS mcc, channel, country, lat AS latitude, lon AS longitude,
       device_id AS device, label AS is_fraud
FROM TransactionHistoryLogs
"""


def write_export(database: Path, file: Path) -> None:
    """What another system may have exported: its own names of columns, instants as texts."""
    with sqlite3.connect(database) as connection:
        rows = connection.execute(_EXPORTED)
        with file.open("w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow([column for column, *_ in rows.description])
            writer.writerows(rows)
    connection.close()


@pytest.mark.slow
def test_what_the_pages_say_of_own_use_cases_works(reader: Reader) -> None:
    reader.do(".venv/bin/python -m usecases.churn.generate")
    shutil.copyfile(reader.tree / "usecases/churn/customers.csv", reader.tree / "customers.csv")
    new, run = block("README.md", ".venv/bin/understudy new", ".venv/bin/understudy run --use")
    follow(reader, new)
    reader.serve(run)
    reader.stop()

    copy, check, run = commands_of("usecases/fraud/README.md")
    follow(reader, copy, check)
    write_world(reader.tree / "var" / "mine" / "understudy.db", SystemClock().now_us())
    reader.serve(run)
    assert (reader.tree / "var" / "mine" / "retrained_models").is_dir()


@pytest.mark.slow
def test_what_the_page_of_replay_says_works_on_a_past_of_those_months(
    reader: Reader, tmp_path: Path
) -> None:
    write_world(tmp_path / "past.db", instant_us(read_instant("2026-04-01T00:00:00Z")))
    reader = replace(reader, environment={
        **reader.environment, "DATABASE_URL": f"sqlite:///{tmp_path}/past.db",
    })  # fmt: skip
    follow(reader, *block("docs/operations/replay.md", "understudy replay --from 2026"))


@pytest.mark.slow
def test_what_the_pages_say_of_workers_and_of_the_repository_works(reader: Reader) -> None:
    two, alone, _containers = block(
        "docs/operations/serving.md", "API_WORKERS=4 understudy", "API_WORKERS=4 docker"
    )
    traced, grep = commands_of("docs/operations/traces.md")
    for command in (two, alone, traced):
        reader.serve(command, "/livez")
        reader.stop()
    follow(reader, grep)
    reader.do("git init --quiet .")
    follow(reader, *commands_of("CONTRIBUTING.md"))
