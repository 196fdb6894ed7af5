"""A margin: how much of a measure may be lost, as an amount or as a share of the champion's."""

import re
from dataclasses import dataclass

_PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")


@dataclass(frozen=True, slots=True)
class Margin:
    """An amount in the measure's own unit, or a share of the champion's value."""

    amount: float
    is_relative: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.amount < float("inf") or (self.is_relative and self.amount >= 1.0):
            raise ValueError(f"a margin is 0 or more, and less than 100 %, not {self}")

    @classmethod
    def parse(cls, declared: "str | float | Margin") -> "Margin":
        """Parses `0.01` or `"2 %"`; a margin is returned unchanged.

        Raises:
            ValueError: neither, or negative.
        """
        if isinstance(declared, Margin):
            return declared
        if isinstance(declared, int | float) and not isinstance(declared, bool):
            return cls(float(declared))
        found = _PERCENT.fullmatch(declared) if isinstance(declared, str) else None
        if found is None:
            raise ValueError(
                f"{declared!r} is not a margin: write 0.01, or '2 %' of the champion's"
            )
        return cls(float(found[1]) / 100.0, is_relative=True)

    def of(self, champion: float) -> float:
        """The amount that may be lost where the champion has this value."""
        return self.amount * abs(champion) if self.is_relative else self.amount

    def champion_weight(self, champion: float) -> float:
        """w, where "no worse than the margin" means candidate - w * champion + amount > 0.

        The champion's value is an estimate, too: a relative margin has a standard error, which the
        comparison includes.
        """
        if not self.is_relative:
            return 1.0
        return 1.0 + self.amount if champion < 0 else 1.0 - self.amount

    @property
    def declared(self) -> str | float:
        """The text as it was declared."""
        return str(self) if self.is_relative else self.amount

    def __str__(self) -> str:
        return f"{self.amount * 100:g} %" if self.is_relative else f"{self.amount:g}"
