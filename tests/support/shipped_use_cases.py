"""The use cases that stand in usecases/, and what of the repository is about code."""

import shutil
from pathlib import Path

import usecases

ROOT = Path(usecases.__file__).parent
_ROOMS = (
    "api", "console", "learning", "native", "scheduler", "shared", "simulator", "understudy",
    "usecases",
)  # fmt: skip


def shipped_names() -> list[str]:
    """Every folder that is a use case: with a declaration, or with two halves of its own."""
    return sorted(
        folder.name
        for folder in ROOT.iterdir()
        if (folder / usecases.DECLARATION).is_file() or (folder / "policy.toml").is_file()
    )


def copy_of_the_code(target: Path, *, only: str) -> Path:
    """A copy of the tree in which there is one use case."""
    for room in _ROOMS:
        kept_out = shutil.ignore_patterns("__pycache__", "*.csv")
        shutil.copytree(ROOT.parent / room, target / room, ignore=kept_out)
    for name in shipped_names():
        if name != only:
            shutil.rmtree(target / "usecases" / name)
    return target
