"""The instant whose knowledge a run uses: now, or an earlier one for data that ended long ago."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.clock import MICROS_PER_DAY, isoformat, to_micros
from shared.errors import DataUnavailable

END_OF_DATA = "end-of-data"


@dataclass(frozen=True, slots=True)
class AsOf:
    """The start of a run and the instant it is about: nothing known later is used.

    Attributes:
        is_declared: the instant was declared; otherwise it is that at which the run began.
    """

    as_of_us: int
    began_us: int
    is_declared: bool = False

    @property
    def days_ago(self) -> float:
        return (self.began_us - self.as_of_us) / MICROS_PER_DAY


def parse_as_of(text: str) -> str:
    """A declared instant in one form: `end-of-data`, or RFC 3339 in UTC.

    Raises:
        ValueError: it is neither, or has no zone; says what is allowed.
    """
    written = text.strip()
    if written.lower() in (END_OF_DATA, "end_of_data"):
        return END_OF_DATA
    try:
        moment = datetime.fromisoformat(written.upper())
    except ValueError as error:
        raise ValueError(
            f"{text!r} is not an instant: write `end-of-data`, a day (2020-06-30: its start, UTC) "
            "or an instant with a zone (2020-06-30T18:00:00Z)"
        ) from error
    if moment.tzinfo is None:
        if len(written) > len("2020-06-30"):
            raise ValueError(f"{text!r} has no zone: add Z for UTC, or an offset like +02:00")
        moment = moment.replace(tzinfo=UTC)
    return isoformat(to_micros(moment))


def resolve_as_of(
    declared: str | None, newest_row_us: Callable[[], int | None], now_us: int
) -> AsOf:
    """The instant that a run which begins now is about; never later than now.

    Raises:
        DataUnavailable: the end of the data is asked for, and there is no row, or no database.
    """
    if declared is None:
        return AsOf(now_us, now_us)
    if declared != END_OF_DATA:
        instant = to_micros(datetime.fromisoformat(declared))
        return AsOf(min(now_us, instant), now_us, is_declared=True)
    newest = newest_row_us()
    if newest is None:
        raise DataUnavailable(
            "TRAIN_AS_OF is end-of-data, and there is no row: import some (understudy import)"
        )
    return AsOf(min(now_us, newest), now_us, is_declared=True)
