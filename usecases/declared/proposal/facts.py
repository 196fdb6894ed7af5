"""Facts about the columns of a source, counted over all of its rows."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import polars as pl

from shared.importing.files import Piece
from shared.importing.numbers import NumberStyle, read_numbers, tidy
from shared.importing.texts import read_texts
from shared.importing.times import read_time_texts
from shared.rows.column_values import FLAG_WORDS
from shared.rows.reading import word_problems

MOST_COUNTED = 5_000
"""More distinct values than this are not distinguished any further."""
# signs, currencies and group separators; a text with other letters is a word
_MONEY = r"(?:\p{Sc}|USD|EUR|GBP|CHF|JPY|CAD|AUD|US\$|R\$)"
_WRITTEN_NUMBER = (
    rf"^[(+-]?\s*{_MONEY}?\s*[+-]?\d[\d.,'\s\x{{a0}}\x{{202f}}\x{{2019}}]*\s*(?:{_MONEY}|%)?"
    r"\s*-?\)?$"
)
_THREE_BEHIND = r"^[+-]?[1-9]\d{0,2}\.\d{3}$"
_PROSE = r"\S+(?:\s+\S+){3,}|^.{65,}$"
_JSON = r"^\s*(?:\{.*\}|\[.*\])\s*$"
EUROPEAN, AMERICAN = NumberStyle(",", "."), NumberStyle(".", ",")
_SAMPLED_TIMES = 2_000
_SAMPLED_ROWS = 40_000
_MOST_SAMPLED = 200_000


@dataclass(slots=True)
class Range:
    """The numbers of a column, or of a part of it."""

    low: float = float("inf")
    high: float = float("-inf")

    def add(self, numbers: pl.Series) -> None:
        if len(numbers):
            # + 0.0 turns -0.0 into 0.0
            self.low = min(self.low, float(numbers.min())) + 0.0  # type: ignore[arg-type]
            self.high = max(self.high, float(numbers.max())) + 0.0  # type: ignore[arg-type]


@dataclass(slots=True)
class Facts:
    """The counts of one column.

    Attributes:
        filled: rows with a value.
        numbers: of them, those that are numbers.
        plain: of them, those written as a program writes numbers.
        padded: of them, those with zeros in front, as codes have them.
        pointed: of them, those with a point; in_threes: with exactly three digits behind it.
        odd: in each style, the range of those that are not plain.
        not_a_number: the first value that is not a number, and its row.
        not_words: values that are too long for a word, or go on over several lines.
        prose: values of several words; json: objects and lists.
        blank_words: how often a text occurs that may stand for a missing value, e.g. NA.
        counts: how often each value occurs, up to MOST_COUNTED values.
        is_full: there were more values than that.
        moments: of a sample, the share that is a date.
        dtype: the type in the source; text for every column of a CSV file.
    """

    name: str
    dtype: pl.DataType = field(default_factory=pl.String)
    rows: int = 0
    filled: int = 0
    numbers: int = 0
    plain: int = 0
    whole: int = 0
    not_a_number: tuple[str, int] | None = None
    not_words: int = 0
    prose: int = 0
    json: int = 0
    padded: int = 0
    pointed: int = 0
    in_threes: int = 0
    blank_words: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    is_full: bool = False
    moments: float = 0.0
    range: Range = field(default_factory=Range)
    odd: dict[NumberStyle, Range] = field(
        default_factory=lambda: {EUROPEAN: Range(), AMERICAN: Range()}
    )

    def range_in(self, style: NumberStyle | None) -> Range:
        """The range of all numbers, those that are not plain read in this style."""
        odd = self.odd[style if style in self.odd else AMERICAN]
        return Range(min(self.range.low, odd.low), max(self.range.high, odd.high))

    @property
    def distinct(self) -> int:
        return len(self.counts)

    @property
    def filled_share(self) -> float:
        return self.filled / self.rows if self.rows else 0.0

    @property
    def is_temporal(self) -> bool:
        return isinstance(self.dtype, pl.Datetime | pl.Date)

    @property
    def is_numeric(self) -> bool:
        """True if every value is a number; zeros in front make a code, like 01067."""
        is_number = self.filled > 0 and self.numbers == self.filled and not self.padded
        return self.dtype.is_numeric() or is_number

    @property
    def is_unique(self) -> bool:
        """True if (nearly) every row has its own value."""
        if self.is_full:
            return sum(self.counts.values()) <= 1.02 * self.distinct
        return self.filled == self.rows and self.distinct >= 0.98 * self.filled

    @property
    def are_flags(self) -> bool:
        words = {word.lower() for word in self.counts}
        return 0 < len(words) <= 2 and words <= FLAG_WORDS.keys()


class Survey:
    """The facts of every column, and a sample of rows to compare columns by."""

    def __init__(self, columns: Iterable[str]) -> None:
        self.facts = {name: Facts(name) for name in columns}
        self._sampled: list[pl.DataFrame] = []
        self._sampled_rows = 0

    @property
    def rows(self) -> int:
        return next(iter(self.facts.values())).rows if self.facts else 0

    def sample(self) -> pl.DataFrame:
        """Rows from all over the source."""
        if not self._sampled:
            return pl.DataFrame()
        return pl.DataFrame(
            [_joined([frame[name] for frame in self._sampled]) for name in self.facts]
        )

    def add(self, piece: Piece) -> None:
        """Count one piece."""
        for name, facts in self.facts.items():
            _count(facts, piece.frame[name], piece.rows)
        if self._sampled_rows < _MOST_SAMPLED:
            step = max(1, piece.frame.height // _SAMPLED_ROWS)
            taken = piece.frame.gather_every(step)
            self._sampled.append(taken)
            self._sampled_rows += taken.height


def _joined(parts: list[pl.Series]) -> pl.Series:
    """One column of the pieces; files of one folder may hold it in several types."""
    kinds = {part.dtype for part in parts}
    if len(kinds) == 1:
        return pl.concat(parts)
    if all(kind.is_numeric() for kind in kinds):
        return pl.concat([part.cast(pl.Float64) for part in parts])
    return pl.concat([read_texts(part, is_identifier=False, is_numeric=False) for part in parts])


def _count(facts: Facts, column: pl.Series, rows: pl.Series) -> None:
    first = facts.rows == 0
    facts.rows += len(column)
    if first or column.dtype.is_temporal():
        facts.dtype = column.dtype
    texts = read_texts(column, is_identifier=True, is_numeric=True)
    said = texts.drop_nulls()
    if column.dtype == pl.String:
        is_value = tidy(texts).is_not_null()
        said = texts.filter(is_value)
        blank = texts.filter(~is_value).drop_nulls().alias("value").value_counts()
        facts.blank_words.update(dict(blank.iter_rows()))
    facts.filled += len(said)
    if first and column.dtype == pl.String and len(said):
        sampled = said.head(_SAMPLED_TIMES)
        read = read_time_texts(sampled, "day first").naive_us
        facts.moments = 1.0 - read.null_count() / len(sampled)
    _count_numbers(facts, texts, said, rows)
    if column.dtype == pl.String and facts.numbers < facts.filled:
        facts.not_words += len(said) - word_problems(facts.name, said).null_count()
        facts.prose += int(said.str.contains(_PROSE).sum())
        facts.json += int(said.str.contains(_JSON).sum())
    _count_values(facts, said)


def _count_numbers(facts: Facts, texts: pl.Series, said: pl.Series, rows: pl.Series) -> None:
    plain = said.cast(pl.Float64, strict=False)
    facts.plain += len(plain) - plain.null_count()
    table = pl.DataFrame({"text": said, "plain": plain})
    odd = table.filter(pl.col("plain").is_null())["text"]
    # may be a number in another notation: 1.234,50 or $5
    written = odd.str.contains(_WRITTEN_NUMBER)
    facts.numbers += len(plain) - len(odd) + int(written.fill_null(value=False).sum())
    if facts.not_a_number is None and not bool(written.all()):
        wrong = odd.filter(~written.fill_null(value=False))[0]
        at = (texts == wrong).arg_true()[0]
        facts.not_a_number = (str(wrong), int(rows[int(at)]))
    if said.dtype == pl.String and texts.dtype == pl.String:
        facts.padded += int(said.str.contains(r"^0\d+$").sum())
        facts.pointed += int(said.str.contains(r"^[+-]?\d+\.\d+$").sum())
        facts.in_threes += int(said.str.contains(_THREE_BEHIND).sum())
    for style, found in facts.odd.items() if len(odd) else ():
        found.add(read_numbers(odd.filter(written), style).drop_nulls())
    numbers = plain.drop_nulls().filter(plain.drop_nulls().is_finite())
    facts.whole += int((numbers == numbers.floor()).sum())
    facts.range.add(numbers)


def _count_values(facts: Facts, said: pl.Series) -> None:
    if facts.is_full:
        return
    counted = said.alias("value").value_counts()
    facts.counts.update(dict(counted.iter_rows()))
    facts.is_full = len(facts.counts) > MOST_COUNTED
