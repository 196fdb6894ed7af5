"""A digest of what computes: other code or other libraries make other results."""

import hashlib
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("numpy", "numba", "polars", "scikit-learn", "torch", "onnx", "skl2onnx")
SUFFIXES = frozenset({".py", ".toml", ".yaml"})


def code_digest(use_case: object) -> str:
    """Of the use case's package, of the features' machinery, and of the libraries' versions."""
    digest = hashlib.sha256()
    for name in LIBRARIES:
        digest.update(f"{name} {_version(name)}\n".encode())
    for module in (type(use_case).__module__, "shared.features"):
        for path in _sources(module):
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "none"


def _sources(module: str) -> Iterator[Path]:
    file: str | None = getattr(sys.modules.get(module), "__file__", None)
    if file is not None:
        found = (path for path in Path(file).parent.rglob("*") if path.suffix in SUFFIXES)
        yield from sorted(found)
