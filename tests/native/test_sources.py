"""The digest of sources covers what a compiled module imports of ours, however it is written."""

import inspect

from native.compiled import _imported_by, _names_in, source_digest
from usecases.fraud.features import stepping


def test_every_way_of_importing_a_module_is_found() -> None:
    source = (
        "import a.b, c as d\n"
        "from e.f import g as h\n"
        "from i import (\n    j,\n    k,\n)\n"
        "with quiet():\n    from l.m import n\n"
        "from . import o\nfrom ..p import q\n"
    )
    assert {
        "a.b", "c", "e.f", "e.f.g", "i.j", "i.k", "l.m", "l.m.n", ".", ".o", "..p", "..p.q",
    } <= set(_names_in(source))  # fmt: skip


def test_a_module_that_is_imported_by_its_place_counts() -> None:
    names = {path.name for path in _imported_by(stepping.__name__)}
    assert {"stepping.py", "layout.py"} <= names


def test_a_digest_is_the_same_for_the_same_sources() -> None:
    functions = (stepping.read_past, stepping._read_rows)
    digests = {source_digest(inspect.unwrap(function)) for function in functions}
    assert len(digests) == 1
