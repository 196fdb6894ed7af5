"""The arrows of the house, read from the code itself."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, String

from shared.tables.schema import metadata

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "native": {"native"},
    "shared": {"shared", "native"},
    "learning": {"learning", "shared"},
    "usecases": {"usecases", "learning", "shared", "native"},
    "api": {"api", "usecases", "shared", "native"},
    "scheduler": {"scheduler", "learning", "usecases", "shared", "native"},
    "simulator": {"simulator", "shared"},
    "console": {"console", "shared"},
}
HEAVY = (
    "torch",
    "sklearn",
    "skl2onnx",
    "polars",
    "pandas",
    "pandera",
    "onnx",
    "duckdb",
    "deltalake",
    "learning",
)
# Needed with STORE_URL, PostgreSQL, OTEL_ENDPOINT, a migration or a call of another service only.
OPTIONAL = (
    "alembic",
    "httpx",
    "mlflow",
    "obstore",
    "opentelemetry.exporter",
    "opentelemetry.sdk",
    "psycopg",
    "ray",
    "requests",
    "typer",
)
ROOMS = {*ALLOWED, "understudy", "benchmarks", "tests"}


def sources(room: str) -> Iterator[Path]:
    yield from sorted((ROOT / room).rglob("*.py"))


def imported_rooms(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(), str(path))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.split(".")[0] for name in names} & ROOMS


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_along_the_arrows(room: str) -> None:
    stray = {
        str(path.relative_to(ROOT)): found
        for path in sources(room)
        if (found := imported_rooms(path) - ALLOWED[room])
    }
    assert stray == {}


@pytest.mark.parametrize("room", ["api", "native", "scheduler", "shared", "learning", "console"])
def test_only_the_use_case_knows_what_it_is_about(room: str) -> None:
    knowing = [str(p) for p in sources(room) if "fraud" in p.read_text().lower()]
    assert knowing == []


def loaded_by_the_service(beside: str, names: Sequence[str]) -> str:
    """Those of the names that a new process has loaded with the scoring service and a module."""
    code = (
        f"import sys, usecases, api.launch, api.serving, {beside}\n"
        "usecases.load_serving(usecases.DEFAULT)\n"
        f"print([name for name in {names} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_scoring_service_never_imports_a_training_library() -> None:
    assert loaded_by_the_service("shared.tasks", HEAVY) == "[]"


def test_the_default_scoring_service_loads_no_library_that_only_a_setting_needs() -> None:
    assert loaded_by_the_service("api.wiring", OPTIONAL) == "[]"


def test_the_scoring_service_serves_every_use_case_without_what_training_needs() -> None:
    """Its image has none of it; a table that named polars kept declared use cases from starting."""
    names = sorted(path.parent.name for path in (ROOT / "usecases").glob("*/usecase.toml"))
    assert names
    code = (
        "import sys, usecases, api.launch, api.serving, api.wiring\n"
        f"for name in {names}: usecases.load_serving(name); usecases.row_store(name)\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_retraining_service_never_imports_the_scoring_service() -> None:
    code = (
        "import sys, scheduler.main, scheduler.child\n"
        "print([m for m in sys.modules if m.split('.')[0] == 'api'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def imported_modules(folder: str) -> set[str]:
    """Dotted names that the files of a folder import from, also for type checkers alone."""
    trees = [ast.parse(path.read_text(), str(path)) for path in sources(folder)]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


def test_versions_know_nothing_of_rollouts_which_are_built_on_them() -> None:
    found = {name for name in imported_modules("api/models") if name.startswith("api.rollout")}
    assert found == set()


def test_only_the_composition_root_and_what_it_runs_know_the_whole_service() -> None:
    """Packages take the parts they need; routes, start-up and peers take the service."""
    packages = ("http", "journal", "models", "registry", "rollout")
    knowing = [name for name in packages if "api.service" in imported_modules(f"api/{name}")]
    assert knowing == []


@pytest.mark.parametrize("room", sorted(ROOMS - {"tests"}))
def test_no_file_grows_beyond_four_hundred_lines(room: str) -> None:
    long = [str(p) for p in sources(room) if len(p.read_text().splitlines()) > 400]
    assert long == []


def test_the_command_line_starts_where_only_one_service_is_installed() -> None:
    """Each image holds one service and the command line; commands import the rest themselves."""
    code = (
        "import sys\n"
        "from understudy.cli import commands_of\n"
        "from understudy.commands import SUMMARIES\n"
        "assert all(commands_of(module) for module in SUMMARIES)\n"
        "rooms = ('api', 'scheduler', 'learning', 'simulator')\n"
        "print([m for m in sys.modules if m.split('.')[0] in rooms])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def calls_in(path: Path) -> set[str]:
    """Every dotted name that a file calls or passes on, such as `time.time`."""
    tree = ast.parse(path.read_text(), str(path))
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_only_the_clock_module_reads_the_wall_clock(room: str) -> None:
    """Elapsed time is `time.monotonic`; now is a `Clock`; times of files go with `wall_ns`."""
    wall = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today"}
    wall |= {"date.today"} | {f"datetime.{name}" for name in wall}
    readers = {str(path.relative_to(ROOT)) for path in sources(room) if calls_in(path) & wall}
    assert readers <= {"shared/clock.py"}


@pytest.mark.parametrize("room", sorted({*ALLOWED, "understudy"}))
def test_one_module_configures_logging_and_all_others_log_with_structlog(room: str) -> None:
    ways = {"structlog.configure", "structlog.wrap_logger", "logging.getLogger"}
    ways |= {"logging.basicConfig", "logging.info", "logging.warning", "logging.error"}
    others = {str(path.relative_to(ROOT)) for path in sources(room) if calls_in(path) & ways}
    assert others <= {"shared/logs.py"}


def test_instants_in_tables_are_integers_but_for_the_tables_that_people_read() -> None:
    """Text instants are those of ADR 0007: tables that are edited or read with SQL."""
    texts = {
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, String) and column.type.length == 40
    }
    assert {name.partition(".")[0] for name in texts} == {
        "datachanges", "modeltrainingruns", "retrainingconfig",
    }  # fmt: skip
    suffixes = ("_at", "until", "notbefore", "event_time", "nextdue", "checkedat", "since")
    wrong = [
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.columns
        if column.name.endswith(suffixes) and not isinstance(column.type, BigInteger)
    ]
    assert wrong == []


def test_no_test_takes_a_helper_from_another_test() -> None:
    """Helpers of several test modules stand in tests/support/ or in their own module."""
    taken = [
        f"{path.relative_to(ROOT)}: {module}"
        for room in ("tests", "benchmarks")
        for path in sources(room)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (module := node.module or "").startswith("tests.")
        if module.rpartition(".")[2].startswith(("test_", "conftest"))
    ]
    assert taken == []
