import platform
from typing import Any

import cloudpickle
import numpy as np
import pytest

from shared.errors import ModelLoadError
from shared.scoring.library_versions import check_library_versions, library_versions

PYTHON = platform.python_version()
MINOR = ".".join(np.__version__.split(".")[:2])


def pickled() -> bytes:
    def score(matrix: Any) -> Any:
        return np.zeros((len(matrix), 2))

    return bytes(cloudpickle.dumps(score))


def test_what_a_pickle_uses_is_found_without_unpickling_it() -> None:
    assert library_versions(pickled())["numpy"] == np.__version__
    assert library_versions(b"no pickle") == {}


@pytest.mark.parametrize("frameworks", [{}, {"numpy": f"{MINOR}.99"}, {"torch": "0.1.0"}])
def test_the_same_minor_versions_of_what_it_uses_are_enough(frameworks: dict[str, str]) -> None:
    check_library_versions(pickled(), frameworks, PYTHON)


@pytest.mark.parametrize(
    ("frameworks", "python", "named"),
    [
        ({"numpy": "1.3.0"}, PYTHON, f"numpy 1.3.0 .*here: {np.__version__}"),
        ({"Numpy": "99.0"}, PYTHON, "numpy 99.0"),
        ({"numpy": "unknown"}, PYTHON, "numpy unknown"),
        ({}, "3.7.1", "python 3.7.1"),
        ({"numpy": "1.3.0", "python": PYTHON}, "2.7", "python 2.7.*numpy 1.3.0"),
    ],
)
def test_another_minor_version_is_refused_by_name(
    frameworks: dict[str, str], python: str, named: str
) -> None:
    with pytest.raises(ModelLoadError, match=named):
        check_library_versions(pickled(), frameworks, python)


def test_a_library_that_is_missing_here_is_named() -> None:
    raw = cloudpickle.dumps({"made by": "some_library"})
    with pytest.raises(ModelLoadError, match=r"some-library 1\.0 \(installed here: none\)"):
        check_library_versions(raw, {"some-library": "1.0"}, PYTHON)
