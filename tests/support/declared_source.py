"""A small use case whose rows come from a file beside its declaration."""

from datetime import UTC, datetime
from pathlib import Path

from shared.clock import to_micros
from usecases.declared.learning import DeclaredLearning, learning_of

NOW_US = to_micros(datetime(2026, 6, 1, tzinfo=UTC))
HEAD = "key,at,size,y\n"
TOML = """
[use_case]
name = "sample"
task = "binary"
row_id = "key"
time = "at"
[label]
column = "y"
positive = "yes"
negative = "no"
[columns]
size = "number"
[source]
"""


def use_case(folder: Path, source: str = 'files = "rows.csv"') -> DeclaredLearning:
    (folder / "usecase.toml").write_text(TOML + source)
    return learning_of(folder)
