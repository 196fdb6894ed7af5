"""The shape of the code in a dozen figures: size, placement, nesting and vocabulary.

`python -m scripts.shape --help` says what each figure means and which way is better.
"""

import argparse
import json
import sys
from pathlib import Path

from scripts.shape_figures import PACKAGES, Shape, measure
from scripts.vocabulary import retired_words

ROOT = Path(__file__).parent.parent
HELP = """Measures the Python files of the product (tests and benchmarks are left out).

  files, lines              fewer files for the same lines: what is read together stands together
  median lines a file       about 100 is the goal; the cap is 400
  median, longest function  5 to 25 lines, from `def` to the last line; the longest with its place
  modules with one importer a module that one other module imports, and no third one; many of
                            them, above all "in the same folder", are halves of one idea
  retired words             identifiers and modules that scripts/vocabulary.py replaced; goal 0
  nesting deeper than 3     functions with a statement below more than three if/for/while/with/
                            try/match; goal 0
  files over 400 lines      goal 0

CONTRIBUTING.md holds the figures of two commits, to compare with. Examples:

  python -m scripts.shape
  python -m scripts.shape --list        each place behind the counts, to work through
  python -m scripts.shape --json        for a script: one object
  python -m scripts.shape --root PATH   another checkout, for a comparison
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.shape",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--list", action="store_true", help="name each place behind the counts")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout; default: this one")
    chosen = parser.parse_args(arguments)
    root = chosen.root.resolve()
    files = product_files(root)
    if not files:
        parser.error(f"--root: {root} holds none of {', '.join(PACKAGES)}; name a checkout")
    shape = measure(root, files)
    retired = [str(found) for found in retired_words(root, files)]
    if chosen.json:
        sys.stdout.write(json.dumps(as_json(shape, retired), indent=2) + "\n")
    else:
        sys.stdout.write(as_text(shape, retired, with_places=chosen.list))
    return 0


def product_files(root: Path) -> list[Path]:
    """Every Python file of the product, sorted."""
    return sorted(file for package in PACKAGES for file in (root / package).rglob("*.py"))


def as_json(shape: Shape, retired: list[str]) -> dict[str, object]:
    """Every figure under a stable name, the places behind the counts included."""
    return {
        "files": shape.files,
        "lines": shape.lines,
        "median_lines_a_file": shape.median_file_lines,
        "median_lines_a_function": shape.median_function_lines,
        "longest_function_lines": shape.longest_function.lines,
        "longest_function": shape.longest_function.place,
        "modules_with_one_importer": len(shape.one_importer),
        "of_these_in_the_same_folder": len(shape.one_importer_beside),
        "retired_words": retired,
        "nesting_deeper_than_3": shape.deep,
        "files_over_400_lines": shape.long_files,
    }


def as_text(shape: Shape, retired: list[str], *, with_places: bool) -> str:
    longest = shape.longest_function
    rows: list[tuple[str, object, list[str]]] = [
        ("files", shape.files, []),
        ("lines", shape.lines, []),
        ("median lines a file", shape.median_file_lines, []),
        ("median lines a function", shape.median_function_lines, []),
        ("longest function", f"{longest.lines} lines, {longest.place}", []),
        ("modules with one importer", len(shape.one_importer), shape.one_importer),
        ("  in the same folder", len(shape.one_importer_beside), []),
        ("retired words", len(retired), retired),
        ("nesting deeper than 3", len(shape.deep), shape.deep),
        ("files over 400 lines", len(shape.long_files), shape.long_files),
    ]
    lines = []
    for name, figure, places in rows:
        lines.append(f"{name:<27}{figure}")
        if with_places:
            lines += [f"    {place}" for place in places]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
