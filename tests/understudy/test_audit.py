from pathlib import Path

from typer.testing import CliRunner

from api.registry.audit import AuditTrail
from shared.clock import SystemClock
from understudy.cli import app


def trail(folder: Path) -> Path:
    path = folder / "audit.jsonl"
    for version in ("1.0.0", "1.0.1"):
        AuditTrail(path, SystemClock()).write("promotion", "push", "fresh data", version=version)
    return path


def test_a_whole_trail_is_printed_newest_first(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["audit", str(trail(tmp_path))], env={"COLUMNS": "120"})
    assert done.exit_code == 0
    assert done.output.index("1.0.1") < done.output.index("1.0.0")
    assert "2 lines, each follows" in done.output


def test_a_trail_that_was_changed_ends_with_status_one(tmp_path: Path) -> None:
    path = trail(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"1.0.0", b"6.6.6"))
    done = CliRunner().invoke(app, ["audit", str(path)])
    assert done.exit_code == 1
    assert "lines [2]" in done.output
