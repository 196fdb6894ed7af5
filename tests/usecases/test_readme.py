"""usecases/README.md, done as it says, in a copy of the tree."""

import re
from pathlib import Path

import pytest

import usecases
from shared.tasks import TaskKind
from tests.support.fresh_clones import Reader, reader_of
from tests.support.shipped_use_cases import ROOT, shipped_names

PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^```sh\n(.*?)\n```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_table_names_every_use_case_that_ships_with_its_task() -> None:
    told = re.findall(r"^\| \[(\w+)\]\([\w/.]+\) \| (\w+)", PAGE, re.MULTILINE)
    shipped = {name: usecases.load_learning(name).task.kind for name in shipped_names()}
    assert {name: TaskKind(kind) for name, kind in told} == shipped


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return reader_of(tmp_path, only="deliveries")


@pytest.mark.slow
def test_the_page_leads_from_a_file_to_a_prediction_and_a_label(reader: Reader) -> None:
    generate, new, run, predict, tell, feedback, again = COMMANDS
    reader.do(generate)
    reader.do(new)
    written = reader.tree / "usecases" / "parcels"
    assert {path.name for path in written.iterdir()} == {"usecase.toml", "examples.json"}
    with reader.running(run) as running:
        reader.wait_for_a_model(running)
        assert '"prediction":' in reader.do(predict)
        assert reader.do(tell).startswith(("stored", "kept"))
        assert '"unknown":[]' in reader.do(feedback)
        assert "there already" in reader.do(again)
    assert (reader.tree / "var" / "parcels" / "understudy.db").is_file()
