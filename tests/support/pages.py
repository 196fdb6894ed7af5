"""The commands that the pages of the repository show, one by one as a reader would type them."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^( *)```sh\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_HEREDOC = re.compile(r"<<-?'?(\w+)'?")


@dataclass(frozen=True)
class PageCommand:
    """A command of a fenced block, with its continuation lines."""

    page: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text.splitlines()[0][:60]}"


def tracked_files() -> list[str]:
    """What a clone has, and what is about to be committed."""
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted(path for path in listed.split("\0") if path and (ROOT / path).is_file())


def pages() -> list[str]:
    """Every page, by its path."""
    return [path for path in tracked_files() if path.endswith(".md")]


def commands_of(page: str) -> list[PageCommand]:
    """Every command of a page's fenced `sh` blocks, in their order."""
    found = []
    for indent, block in _FENCE.findall((ROOT / page).read_text(encoding="utf-8")):
        lines = [line.removeprefix(indent) for line in block.splitlines()]
        found += [PageCommand(page, text) for text in split_commands(lines)]
    return found


def split_commands(lines: list[str]) -> Iterator[str]:
    """Commands of a script: several lines where a quote, a backslash or a heredoc asks for it."""
    taken: list[str] = []
    for line in lines:
        if not taken and (not line.strip() or line.lstrip().startswith("#")):
            continue
        taken.append(line)
        if not _goes_on(taken):
            yield _without_comment("\n".join(taken))
            taken = []
    if taken:
        raise ValueError(f"a command without an end: {taken}")


def _goes_on(lines: list[str]) -> bool:
    heredoc = _HEREDOC.search(lines[0])
    if heredoc:
        return len(lines) == 1 or lines[-1].strip() != heredoc[1]
    text = "\n".join(lines)
    return text.endswith("\\") or text.count("'") % 2 == 1 or text.count('"') % 2 == 1


def _without_comment(command: str) -> str:
    """A command of one line without the words behind it."""
    return command if "\n" in command else re.sub(r"\s{2,}# .*$", "", command)
