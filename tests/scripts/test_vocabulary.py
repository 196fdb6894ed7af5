"""The code uses the field's words: no retired one, and one thing a name."""

import ast
import re
from collections import defaultdict
from pathlib import Path

from scripts.shape import ROOT, product_files
from scripts.vocabulary import IDENTIFIERS, ONE_MEANING, phrases, retired_words, riddles

# Public classes with a name that another one has, and the reason.
SHARED_NAMES = {
    "DecisionRecorder": "one interface, implemented by fraud and by declared use cases",
    "FileRows": "one idea: the rows of a file, for fraud with history and without",
    "Reason": "the schema in HTTP answers, and the value that it is made of",
    "Served": "fraud's is a frame of served rows and never leaves its checks",
    "Vocabulary": "fraud's is a mapping of its own classifier and never leaves it",
}

# Members of stored JSON, which kept their names.
JSON_MEMBERS = {"outlook"}


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


def test_a_description_says_what_a_thing_is_and_does_not_ask() -> None:
    files = [*product_files(ROOT), *(ROOT / "benchmarks").glob("*.py"), *ROOT.glob("scripts/*.py")]
    asked = [
        riddle
        for file in files
        for riddle in riddles(file.relative_to(ROOT).as_posix(), ast.parse(file.read_text()))
    ]
    assert asked == []


def test_descriptions_that_open_with_a_question_are_reported_with_their_place() -> None:
    code = (
        '"""Records of runs."""\n\nMOST = 3\n"""How many."""\n\n\n'
        'def f():\n    """Whether it is."""\n\n\ndef g():\n    """True if it is."""\n'
    )
    assert list(riddles("api/f.py", ast.parse(code))) == [
        "api/f.py:4: How many.",
        "api/f.py:8: Whether it is.",
    ]


def test_comments_messages_and_pages_are_in_plain_english() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md"]
    for folder in ("docs", "usecases", "deploy", "monitoring"):
        pages += (ROOT / folder).rglob("*.md")
    files = [*product_files(ROOT), *(ROOT / "benchmarks").glob("*.py"), *pages]
    names = {file: file.relative_to(ROOT).as_posix() for file in files}
    quoted = {"docs/glossary.md"}  # lists old words beside the terms of today
    found = [
        phrase
        for file, name in names.items()
        if name not in quoted
        for phrase in phrases(name, file.read_text())
    ]
    assert not found, "\n".join(found)


def test_pages_name_code_that_exists_by_its_name_of_today() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("usecases/**/*.md")]
    stale = []
    for page in pages:
        if page.name in ("glossary.md", "CHANGELOG.md"):
            continue  # the names of older releases
        for span in re.findall(r"`([\w./:]+)`", page.read_text()):
            is_module = re.fullmatch(
                r"(?:api|scheduler|shared|console|native|learning)/.+\.py", span
            )
            if span in IDENTIFIERS.keys() - JSON_MEMBERS or (
                is_module and not (ROOT / span).is_file()
            ):
                stale.append(f"{page.relative_to(ROOT)}: {span}")
    assert stale == []


def test_phrases_are_reported_in_comments_and_strings_and_not_in_names() -> None:
    code = 'nobody = 1  # so many of them\nraise ValueError("x is no number")\nwho = "nobody"\n'
    assert list(phrases("api/f.py", code)) == [
        "api/f.py:1: so many (this many)",
        "api/f.py:2: is no number (is not a ...)",
    ]
    assert list(phrases("docs/glossary.md", "One.\nThere is no row, read anew.")) == [
        "docs/glossary.md:2: anew (again)"
    ]


def test_a_class_has_its_name_for_itself() -> None:
    places = defaultdict(list)
    for file in product_files(ROOT):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(file.relative_to(ROOT).as_posix())
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert {name: found for name, found in twice.items() if name not in SHARED_NAMES} == {}
    assert set(twice) >= set(SHARED_NAMES)
