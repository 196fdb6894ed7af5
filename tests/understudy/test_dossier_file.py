"""`understudy dossier --out`: its own file is replaced, another's never."""

from pathlib import Path

import pytest
from sqlalchemy import insert

from shared.tables.engine import connect, migrate
from shared.tables.schema import model_training_runs
from tests.support.command_line import Command, command_in


@pytest.fixture
def run(tmp_path: Path) -> Command:
    (tmp_path / "var").mkdir()
    engine = connect(f"sqlite:///{tmp_path}/var/understudy.db")
    migrate(engine)
    known = {"jobname": "retraining", "status": "SUCCEEDED", "modelversion": "1.0.0"}
    day = dict.fromkeys(("rundate", "scheduledfor"), "2026-01-01T00:00:00Z")
    with engine.begin() as connection:
        connection.execute(insert(model_training_runs).values(**known, **day))
    engine.dispose()
    return command_in(tmp_path)


@pytest.mark.parametrize("form", ["md", "html"])
def test_a_file_of_somebody_else_stays_and_an_earlier_document_is_replaced(
    run: Command, tmp_path: Path, form: str
) -> None:
    notes = tmp_path / "notes"
    notes.write_text("mine")
    away = {"API_URL": "http://127.0.0.1:9"}
    refused = run("dossier", "1.0.0", "--format", form, "--out", notes, **away)
    assert refused.returncode == 2
    assert "was not made by this command" in " ".join(refused.stderr.split())
    assert notes.read_text() == "mine"
    for _ in range(2):
        made = run("dossier", "1.0.0", "--format", form, "--out", "of/1.0.0", **away)
        assert made.returncode == 0, made.stderr
    assert "Dossier of model 1.0.0" in (tmp_path / "of" / "1.0.0").read_text()
