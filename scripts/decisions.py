"""docs/adr/README.md: its table is generated from the decisions. `python -m scripts.decisions`."""

import re
import sys
from pathlib import Path

ADR = Path(__file__).parent.parent / "docs" / "adr"
STATUS = re.compile(r"\*\*Status(?:[:.]\*\*|\*\*[:.]) *(.*?)\n\n", re.DOTALL)
HEAD = """# Decisions

One page for each decision: the situation, the decision, the alternatives, the price, the status. A
new decision gets a new page with the next number, and the status of the page it changes says so.
Measurements are in [benchmarks/README.md](../../benchmarks/README.md).
`python -m scripts.decisions` writes this table.

| # | decision | status |
|---|---|---|
"""


def main() -> int:
    (ADR / "README.md").write_text(page(ADR))
    return 0


def page(folder: Path) -> str:
    """The page with one row for each decision in the folder."""
    return HEAD + "".join(_row(path) for path in sorted(folder.glob("0*.md")))


def _row(path: Path) -> str:
    text = path.read_text()
    title = text.partition("\n")[0].removeprefix("# ")[5:]
    found = STATUS.search(text)
    status = " ".join(found[1].split()).rstrip(".").lower() if found else "unknown"
    return f"| [{path.name[:4]}]({path.name}) | {title} | {status} |\n"


if __name__ == "__main__":
    sys.exit(main())
