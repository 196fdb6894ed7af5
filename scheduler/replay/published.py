"""What others published for a protocol, to stand beside what the replay measured."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """Rows of a table: model -> metric -> value."""

    source: str
    metrics: tuple[str, ...]
    rows: Mapping[str, tuple[float, ...]]
