"""Clocks that a test moves."""

from dataclasses import dataclass, field


@dataclass
class StoppedClock:
    """Tells what it is set to."""

    now: int = 5
    calls: list[int] = field(default_factory=list)

    def now_us(self) -> int:
        return self.now
