"""A digest of what computes: other code or other libraries make other results."""

import hashlib
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

SUFFIXES = frozenset({".py", ".toml", ".yaml", ".json"})
# Beside the use case's own package: splits, snapshots, features and forms are made there.
_OURS = ("shared", "scheduler", "usecases", "learning")


def code_digest(use_case: object) -> str:
    """Of the interpreter, every installed distribution, our code and the use case's package.

    All distributions and not a list of those known to matter: a library that is imported by a
    library computes as well, and a list is out of date with the next import.
    """
    digest = hashlib.sha256()
    digest.update(f"{platform.python_version()} {platform.machine()}\n".encode())
    for line in installed():
        digest.update(line.encode())
    for folder in _folders(use_case):
        for path in _sources(folder):
            digest.update(f"{path.relative_to(folder)}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def installed() -> list[str]:
    """Name and version of each distribution that can be imported here."""
    found = {f"{one.metadata['Name']} {one.version}\n" for one in distributions()}
    return sorted(found)


def _folders(use_case: object) -> Iterator[Path]:
    for name in (type(use_case).__module__, *_OURS):
        file: str | None = getattr(sys.modules.get(name), "__file__", None)
        if file is not None:
            yield Path(file).parent


def _sources(folder: Path) -> Iterator[Path]:
    found = (path for path in folder.rglob("*") if path.suffix in SUFFIXES)
    yield from sorted(path for path in found if path.is_file())
