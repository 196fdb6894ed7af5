"""The walk of one request through the code, as docs/architecture.md names it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


PAGE = (ROOT / "docs" / "architecture.md").read_text()


STOP = re.compile(r"^\| \d+ \| `([\w/]+\.py):([\w.]+)` \|", re.MULTILINE)


def stops(heading: str) -> list[tuple[str, str]]:
    """File and qualified name of each stop below a heading."""
    section = PAGE.partition(f"## {heading}")[2].partition("\n## ")[0]
    return [(path, name) for path, name in STOP.findall(section)]


REQUEST = stops("One POST /predict, step by step")
