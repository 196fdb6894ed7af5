"""The code uses the field's words: no retired one, and one thing a name."""

import ast
from collections import defaultdict
from pathlib import Path

from scripts.shape import ROOT, product_files
from scripts.vocabulary import ONE_MEANING, retired_words


def test_no_retired_word_names_anything() -> None:
    assert [str(found) for found in retired_words(ROOT, product_files(ROOT))] == []


def test_a_retired_module_or_identifier_is_reported_with_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "scheduler"
    folder.mkdir()
    (folder / "surroundings.py").write_text("class _Yardstick: ...\n\n\ndef f(twins=0): ...\n")
    found = retired_words(tmp_path, product_files(tmp_path))
    assert [str(each) for each in found] == [
        "scheduler/surroundings.py:1: scheduler/surroundings.py (now scheduler/readiness.py)",
        "scheduler/surroundings.py:1: Yardstick (now ChampionBaseline)",
        "scheduler/surroundings.py:4: twins (now duplicates)",
    ]


def test_a_name_that_was_used_for_several_things_names_one_at_most() -> None:
    places = defaultdict(list)
    for file in product_files(ROOT):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and node.name in ONE_MEANING:
                places[node.name].append(file.relative_to(ROOT).as_posix())
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
