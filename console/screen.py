"""A screen: one question, the query that answers it, and the template that shows the answer.

How a screen is added:

1. `console/screens/NAME.py`: a frozen dataclass (the view), a function `read(reading, params)` that
   returns it, `rows(view)` for the CSV, and `SCREEN = Screen(...)`. What the function reads it asks
   for through `reading`, which shares answers of one second between all tabs, bounds the time, and
   falls back to the last answer: `reading.rows(key, query)`,
   `reading.database(key, query, default)`, `reading.api(path, model)`,
   `reading.files(key, read, default)`.
2. `console/templates/NAME.html`: extends `page.html`; `view` is what `read` returned. Text of data
   needs nothing: everything is escaped. No `style`, `onclick` or `<script>`: the policy of the
   pages forbids them. Charts are made by `console/charts.py`, each beside its table.
3. Its `SCREEN` into `SCREENS` in `console/screens/catalogue.py`. Navigation, `.json`, `.csv`, the
   check of parameters and the tests of every screen follow from that.

Something that changes anything is a `Deed` (console/deeds.py): the form is made from it, and the
token, the name of the person and the reason are asked for and checked in one place.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection

from console.api_client import Api
from console.database import ReadOnlyDatabase
from console.files import ModelFiles
from console.reads import ReadResult, SharedReads
from console.sampler import Samples
from shared.clock import Clock
from shared.contracts.http import Contract
from shared.errors import UnderstudyError

T = TypeVar("T")
Row = Mapping[str, Any]


class BadParameter(UnderstudyError):
    """Raised when a part of the address is not what a screen takes; names it and the remedy."""


class Unreadable(UnderstudyError):
    """Raised when the one thing that a page is about cannot be read now; says why."""


class NotFound(UnderstudyError):
    """Raised when the address names something that is not there."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that could not be read, and how old what is shown instead is."""

    source: str
    text: str
    age_seconds: float | None

    @property
    def shows(self) -> str:
        """The value that the page shows in its place."""
        if self.age_seconds is None:
            return "nothing of it can be shown"
        return f"shown is what was read {self.age_seconds:,.0f} s ago"


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that screens read; made once, by the composition root."""

    database: ReadOnlyDatabase
    api: Api
    files: ModelFiles
    samples: Samples
    reads: SharedReads
    clock: Clock


class Reading:
    """The reads of one page. A failure is a trouble that the page shows; the rest goes on."""

    def __init__(self, sources: Sources, *, is_logged_in: bool = False) -> None:
        """`is_logged_in`: what is about people is read for a session only."""
        self.sources = sources
        self.is_logged_in = is_logged_in
        self.troubles: list[Trouble] = []
        self.now_us = sources.clock.now_us()

    def database(self, key: Hashable, query: Callable[[Connection], T], default: T) -> T:
        """The result of a query; `key` names the query with all its parameters."""
        read = lambda: self.sources.database.read(query)  # noqa: E731
        return self._told("database", self.sources.reads.ask(("database", key), read), default)

    def rows(self, key: Hashable, query: Callable[[Connection], list[T]]) -> list[T]:
        """The rows that a query gives; none where it fails."""
        return self.database(key, query, list[T]())

    def api(
        self,
        path: str,
        model: type[Contract],
        expected: tuple[int, ...] = (200,),
        absent: str = "",
        timeout_seconds: float | None = None,
    ) -> Contract | None:
        """The API's answer to a GET; None: it does not answer, or says something else.

        `absent` is the code of a problem that means that there is none, which is not a problem;
        `timeout_seconds` where an answer takes longer than others.
        """
        read = lambda: self.sources.api.read(  # noqa: E731
            path, model, expected, absent, timeout_seconds
        )
        answer = self.sources.reads.ask(("api", path), read)
        found: Contract | None = self._told("API", answer, None)
        return found

    def files(self, key: Hashable, read: Callable[[ModelFiles], T], default: T) -> T:
        """The result of reading the registry, the candidates or the drift reports."""
        read_now = lambda: read(self.sources.files)  # noqa: E731
        return self._told("files", self.sources.reads.ask(("files", key), read_now), default)

    def _told(self, source: str, answer: ReadResult, default: T) -> T:
        if answer.problem is not None:
            trouble = Trouble(source, answer.problem, answer.age_seconds)
            if trouble.text not in {known.text for known in self.troubles}:
                self.troubles.append(trouble)
        value: T = default if answer.age_seconds is None else answer.value
        return value


class Params:
    """The parameters of an address, from its path and its query; each is checked when asked for."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.given = given

    def text(self, name: str, default: str = "", longest: int = 128) -> str:
        value = self.given.get(name, default)
        if len(value) > longest:
            raise BadParameter(f"{name}: at most {longest} characters; shorten it")
        return value

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        value = self.given.get(name) or default
        if value not in choices:
            raise BadParameter(f"{name}: use one of {', '.join(choices)}")
        return value

    def integer(self, name: str, default: int, lowest: int = 0, highest: int = 2**53) -> int:
        text = self.given.get(name, "")
        if not text:
            return default
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 17 else -1
        if not lowest <= number <= highest:
            raise BadParameter(f"{name}: write a whole number from {lowest:,} to {highest:,}")
        return number


@dataclass(frozen=True, slots=True)
class Screen:
    """One page with its JSON and CSV.

    Attributes:
        number: of the screen, as in docs/console.md; also the order of the navigation.
        path: of the page, such as /runs or /runs/{run_id}; `.json` and `.csv` are appended to it.
        name: in the navigation and as the heading.
        question: that the page answers, shown below the heading.
        read: returns the view, a dataclass.
        rows: the table that the CSV holds.
        command: of the command line, that says the same.
        in_navigation: False for the page of one thing, which its list leads to.
        refresh_seconds: how often the part `#live` of the page is read again; 0: never.
        title: of one thing's page, from its view.
    """

    number: int
    path: str
    name: str
    question: str
    template: str
    read: Callable[[Reading, Params], Any]
    rows: Callable[[Any], Sequence[Row]]
    command: Callable[[Params], str]
    in_navigation: bool = True
    refresh_seconds: int = 5
    title: Callable[[Any], str] | None = field(default=None)
