"""Every declared use case that ships, from its generated file to answers, as `understudy run` does.

One process of each service, in a copy of the tree in which there is no other use case.
"""

import json
from pathlib import Path

import httpx
import pytest

import usecases
from tests.support.fresh_clones import reader_of
from tests.support.shipped_use_cases import ROOT, shipped_names

DECLARED = [name for name in shipped_names() if usecases.declared_folder(name)]
EXPECTED = {
    "binary": {"prediction", "probability"},
    "multiclass": {"prediction", "probability", "probabilities"},
    "regression": {"prediction"},
    "ranking": {"items"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DECLARED)
def test_a_use_case_runs_to_a_promoted_model_that_answers(name: str, tmp_path: Path) -> None:
    learning = usecases.load_learning(name)
    reader = reader_of(tmp_path, only=name, USE_CASE=name)
    reader.do(f".venv/bin/python -m usecases.{name}.generate")
    examples = json.loads((ROOT / name / "examples.json").read_text())
    with reader.running(".venv/bin/understudy run") as running:
        reader.wait_for_a_model(running)
        with httpx.Client(base_url=reader.url, timeout=20) as client:
            for body in examples.values():
                answered = client.post("/predict", json=body)
                assert answered.status_code == 200, answered.text
                said = answered.json()
                assert EXPECTED[learning.task.kind.value] <= said.keys()
                assert said["version"] == "1.0.0"
            batch = client.post("/predict/batch", json={"instances": list(examples.values())})
            assert batch.status_code == 200, batch.text
            shown = client.get("/openapi.json").json()
            content = shown["paths"]["/predict"]["post"]["requestBody"]["content"]
            documented = content["application/json"]["examples"]
            assert {title: one["value"] for title, one in documented.items()} == examples
    log = (reader.tree / "run.log").read_text(errors="replace")
    assert "Traceback" not in log
    for word in ("fraud", "transaction", "card"):
        assert word not in log.casefold(), word
