"""The figures of the code's shape, on small trees whose figures are known."""

import json
from pathlib import Path

import pytest

from scripts import shape
from scripts.shape_figures import Shape, measure

NESTED = """
def reads(rows):
    for row in rows:
        if row:
            with row:
                try:
                    row.close()
                except OSError:
                    pass
"""
ELIFS = """
def chooses(one):
    if one == 1:
        return 1
    elif one == 2:
        return 2
    elif one == 3:
        return 3
    elif one == 4:
        return 4
    return 0
"""


def tree(root: Path, **files: str) -> Path:
    for name, text in files.items():
        file = root / (name.replace("__", "/") + ".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def figures(root: Path) -> Shape:
    return measure(root, shape.product_files(root))


def test_lines_and_medians_leave_empty_files_out(tmp_path: Path) -> None:
    tree(tmp_path, api__a="x = 1\n", api__b="x = 1\ny = 2\nz = 3\n", api__empty="")
    found = figures(tmp_path)
    assert (found.files, found.lines, found.median_file_lines) == (2, 4, 1)


def test_the_longest_function_is_named_with_its_place(tmp_path: Path) -> None:
    tree(tmp_path, shared__f="def short():\n    pass\n\n\ndef long():\n    a = 1\n    return a\n")
    found = figures(tmp_path)
    assert (found.longest_function.place, found.longest_function.lines) == (
        "shared/f.py:5 long",
        3,
    )
    assert found.median_function_lines == 2


def test_a_module_with_one_importer_is_found_however_it_is_imported(tmp_path: Path) -> None:
    tree(
        tmp_path,
        api__one="x = 1\n",
        api__two="x = 1\n",
        api__three="x = 1\n",
        api__user="import api.one\nfrom api import two\nfrom api.three import x\n",
        scheduler__other="from api.three import x\n",
    )
    found = figures(tmp_path)
    assert found.one_importer == ["api/one.py (by api/user.py)", "api/two.py (by api/user.py)"]
    assert found.one_importer_beside == ["api/one.py", "api/two.py"]


def test_blocks_inside_each_other_count_and_an_elif_is_not_one(tmp_path: Path) -> None:
    tree(tmp_path, api__deep=NESTED, api__flat=ELIFS)
    assert figures(tmp_path).deep == ["api/deep.py:2 reads (4)"]


def test_a_function_inside_a_function_is_nested_by_itself(tmp_path: Path) -> None:
    inner = "def outer():\n    if 1:\n        if 2:\n            def inner():\n"
    tree(
        tmp_path,
        api__f=inner + "                if 3:\n                    if 4:\n" + " " * 24 + "x = 1\n",
    )
    assert figures(tmp_path).deep == []


def test_files_above_the_cap_are_named(tmp_path: Path) -> None:
    tree(tmp_path, api__fits="x = 1\n" * 400, api__large="x = 1\n" * 401)
    assert figures(tmp_path).long_files == ["api/large.py (401)"]


def test_retired_words_are_counted_and_named_with_what_says_it_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree(tmp_path, api__f="class Doorkeeper:\n    pass\n")
    assert shape.main(["--root", str(tmp_path), "--list"]) == 0
    assert "api/f.py:1: Doorkeeper (now Authenticator)" in capsys.readouterr().out


def test_json_holds_every_figure_of_the_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree(tmp_path, api__f="def f():\n    return 1\n")
    shape.main(["--root", str(tmp_path), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["files"], told["longest_function"]) == (1, "api/f.py:1 f")
    shape.main(["--root", str(tmp_path)])
    assert len(capsys.readouterr().out.splitlines()) == len(told) - 1


def test_a_folder_without_the_product_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        shape.main(["--root", str(tmp_path)])
    assert "name a checkout" in capsys.readouterr().err


def test_this_checkout_is_measured() -> None:
    found = figures(shape.ROOT)
    assert found.files > 300
    assert found.one_importer
