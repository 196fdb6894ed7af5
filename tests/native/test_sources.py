"""The digest of sources covers what a compiled module imports of ours, however it is written."""

import inspect

from native.sources import _names_in, source_digest
from usecases.fraud.features import stepping


def test_every_way_of_importing_a_module_is_found() -> None:
    source = (
        "import a.b, c as d\n"
        "from e.f import g as h\n"
        "from i import (\n    j,\n    k,\n)\n"
        "with quiet():\n    from l.m import n\n"
    )
    assert {"a.b", "c", "e.f", "e.f.g", "i.j", "i.k", "l.m", "l.m.n"} <= set(_names_in(source))


def test_a_digest_is_the_same_for_the_same_sources() -> None:
    functions = (stepping.read_past, stepping._read_rows)
    digests = {source_digest(inspect.unwrap(function)) for function in functions}
    assert len(digests) == 1
