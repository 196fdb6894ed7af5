"""Reads that all tabs share: each is asked at most once a second, and its last answer is kept."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from shared.errors import UnderstudyError

CACHE_SECONDS = 1.0
# Pages of one run or version stay as long as they are among the newest of these.
_MOST_KEYS = 96


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The result of a read.

    Attributes:
        value: the newest answer, of an earlier read where this one failed; None: there is none.
        problem: why this read failed; None: it did not.
        age_seconds: the age of the value; None: there is none.
    """

    value: Any
    problem: str | None
    age_seconds: float | None


@dataclass(slots=True)
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)
    value: Any = None
    problem: str | None = None
    asked_at: float = float("-inf")
    answered_at: float | None = None


class SharedReads:
    """Thread-safe; of callers that ask the same at once, one asks and the others wait for it."""

    def __init__(
        self, seconds: float = CACHE_SECONDS, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._now = now
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()

    def ask(self, key: Hashable, read: Callable[[], Any]) -> ReadResult:
        """The answer to a read; a failure within the last second is an answer, too."""
        entry = self._entry(key)
        with entry.lock:
            if self._now() - entry.asked_at >= self._seconds:
                try:
                    entry.value, entry.problem = read(), None
                    entry.answered_at = self._now()
                except (UnderstudyError, OSError) as error:
                    entry.problem = str(error)
                entry.asked_at = self._now()
            age = None if entry.answered_at is None else self._now() - entry.answered_at
            return ReadResult(entry.value, entry.problem, age)

    def forget(self) -> None:
        """Something was changed: every next read is a new one; values stay for failures."""
        with self._lock:
            for entry in self._entries.values():
                entry.asked_at = float("-inf")

    def _entry(self, key: Hashable) -> _Entry:
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            if len(self._entries) > _MOST_KEYS:
                self._entries.popitem(last=False)
            return entry
