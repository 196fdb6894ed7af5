"""The one definition of the features: compiled code that turns a row and its past into 43 floats.

Batch and online both call `fill_rows`, so they cannot disagree. All of it lies in this one
file because numba's cache on disk does not see changes in other files. Arithmetic is IEEE
double in a fixed order (newest prior row first), rounded to float32 once, at the end.

Unknown values (code -1, NaN coordinates) equal nothing, and nothing is called new about them.
"""

import math

from shared.features.compiled import compiled
from usecases.fraud.features.layout import (
    NEVER,
    UNKNOWN,
    Codes,
    History,
    Micros,
    Out,
    Row,
    Scratch,
    Table,
    Totals,
)

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_MONTH = 30 * _DAY
_NO_PREVIOUS_SECONDS = 2_592_000.0
_EARTH_KM = 6371.0088
_PRIOR_RATE = 0.005
_PRIOR_WEIGHT = 2.0


@compiled
def _window(history: History, row: Row, seen: Micros) -> int:
    """Collect the visible rows of the last 30 days, newest first; says how many."""
    count = 0
    for j in range(row.end - 1, row.begin - 1, -1):
        age = row.event_time - history.event_time[j]
        if age > _MONTH:
            break
        if age > 0 and history.ingested_at[j] <= row.ingested_at:
            seen[count] = j
            count += 1
    return count


@compiled
def _previous(history: History, row: Row) -> int:
    """The newest visible row of any age, or -1."""
    for j in range(row.end - 1, row.begin - 1, -1):
        earlier = history.event_time[j] < row.event_time
        if earlier and history.ingested_at[j] <= row.ingested_at:
            return j
    return -1


@compiled
def _first_seen(history: History, row: Row) -> int:
    """When the user was first seen, here or in what was not brought."""
    for j in range(row.begin, row.end):
        if history.event_time[j] >= row.event_time:
            break
        if history.ingested_at[j] <= row.ingested_at:
            here: int = history.event_time[j]
            return min(row.first_seen, here)
    return row.first_seen


@compiled
def _count(history: History, row: Row, seen: Micros, length: int) -> int:
    """How many rows lie in [t - length, t)."""
    count = 0
    for j in seen:
        if row.event_time - history.event_time[j] > length:
            break
        count += 1
    return count


@compiled
def _sum(history: History, rows: Micros) -> float:
    total = 0.0
    for j in rows:
        total += history.amount[j]
    return total


@compiled
def _totals(history: History, row: Row, seen: Micros) -> Totals:
    cnt_1h = _count(history, row, seen, _HOUR)
    cnt_24h = _count(history, row, seen, _DAY)
    cnt_7d = _count(history, row, seen, 7 * _DAY)
    return Totals(
        _count(history, row, seen, 10 * _MINUTE),
        cnt_1h,
        cnt_24h,
        cnt_7d,
        len(seen),
        _sum(history, seen[:cnt_1h]),
        _sum(history, seen[:cnt_24h]),
        _sum(history, seen[:cnt_7d]),
        _sum(history, seen),
    )


@compiled
def _amount(history: History, row: Row, seen: Micros, totals: Totals, out: Out) -> None:
    count = totals.cnt_30d
    mean = totals.sum_30d / count if count else 0.0
    squares = largest = 0.0
    for j in seen:
        squares += (history.amount[j] - mean) ** 2
        largest = max(largest, history.amount[j])
    deviation = math.sqrt(squares / (count - 1)) if count >= 2 else 0.0
    out[0] = row.amount
    out[1] = math.log1p(row.amount)
    out[2] = row.amount % 10.0 == 0.0
    out[3] = row.amount / mean if mean > 0.0 else 1.0
    out[4] = (row.amount - mean) / max(deviation, 1.0) if count >= 2 else 0.0
    out[5] = row.amount / largest if largest > 0.0 else 1.0


@compiled
def _time(row: Row, out: Out) -> None:
    local_time = row.event_time + row.offset_min * _MINUTE
    hour = (local_time // _HOUR) % 24
    day = (local_time // _DAY + 3) % 7  # the epoch was a Thursday; Monday is 0
    out[0] = math.sin(2.0 * math.pi * hour / 24.0)
    out[1] = math.cos(2.0 * math.pi * hour / 24.0)
    out[2] = math.sin(2.0 * math.pi * day / 7.0)
    out[3] = math.cos(2.0 * math.pi * day / 7.0)
    out[4] = day >= 5
    out[5] = hour < 6


@compiled
def _velocity(totals: Totals, out: Out) -> None:
    out[0] = totals.cnt_10m
    out[1] = totals.cnt_1h
    out[2] = totals.cnt_24h
    out[3] = totals.cnt_7d
    out[4] = totals.cnt_30d
    out[5] = totals.sum_1h
    out[6] = totals.sum_24h
    out[7] = totals.sum_7d
    out[8] = totals.sum_30d
    out[9] = totals.sum_7d / totals.cnt_7d if totals.cnt_7d else 0.0
    out[10] = totals.sum_30d / totals.cnt_30d if totals.cnt_30d else 0.0


@compiled
def _behaviour(history: History, row: Row, seen: Micros, totals: Totals, out: Out) -> None:
    first_seen = _first_seen(history, row)
    previous = _previous(history, row)
    same_bucket = 0
    for j in seen:
        same_bucket += history.bucket[j] == row.bucket
    count, total = totals.cnt_30d, totals.sum_30d
    out[0] = _NO_PREVIOUS_SECONDS
    out[1] = (row.event_time - first_seen) / _DAY if first_seen != NEVER else 0.0
    out[2] = totals.cnt_24h / (count / 30.0) if count else 0.0
    out[3] = totals.sum_24h / (total / 30.0) if total > 0.0 else 0.0
    out[4] = same_bucket / count if count else 0.0
    out[5] = 1.0
    if previous >= 0:
        out[0] = (row.event_time - history.event_time[previous]) / _SECOND
        if history.amount[previous] > 0.0:
            out[5] = row.amount / history.amount[previous]


@compiled
def _distinct(history: History, row: Row, seen: Micros, stamps: Micros) -> tuple[int, int]:
    """Different merchants in 24 hours and in 30 days: one counts where it is met first."""
    stamp = row.end + 1  # no other row that uses this memory has the same
    in_day = in_month = 0
    for j in seen:
        merchant = history.merchant[j]
        if merchant == UNKNOWN or stamps[merchant] == stamp:
            continue
        stamps[merchant] = stamp
        in_month += 1
        if row.event_time - history.event_time[j] <= _DAY:
            in_day += 1
    return in_day, in_month


@compiled
def _occurrences(codes: Codes, code: int, seen: Micros) -> int:
    count = 0
    if code != UNKNOWN:
        for j in seen:
            count += codes[j] == code
    return count


@compiled
def _counterparty(history: History, row: Row, seen: Micros, stamps: Micros, out: Out) -> None:
    same_merchant = _occurrences(history.merchant, row.merchant, seen)
    same_category = _occurrences(history.category, row.category, seen)
    in_day, in_month = _distinct(history, row, seen, stamps)
    out[0] = row.merchant != UNKNOWN and same_merchant == 0
    out[1] = same_merchant
    out[2] = in_day
    out[3] = in_month
    out[4] = row.category != UNKNOWN and same_category == 0
    out[5] = same_category / len(seen) if len(seen) else 0.0


@compiled
def _kilometres(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """Great-circle distance (haversine); 0 where a coordinate is unknown."""
    if math.isnan(lat_a + lon_a + lat_b + lon_b):
        return 0.0
    phi_a, phi_b = math.radians(lat_a), math.radians(lat_b)
    across = math.sin((phi_b - phi_a) / 2.0) ** 2
    along = math.sin(math.radians(lon_b - lon_a) / 2.0) ** 2
    chord = across + math.cos(phi_a) * math.cos(phi_b) * along
    return 2.0 * _EARTH_KM * math.asin(math.sqrt(min(1.0, chord)))


@compiled
def _geo(history: History, row: Row, seen: Micros, out: Out) -> None:
    previous = _previous(history, row)
    out[0] = _kilometres(row.home_lat, row.home_lon, row.lat, row.lon)
    out[1] = 0.0
    out[2] = 0.0
    if previous >= 0:
        away = _kilometres(history.lat[previous], history.lon[previous], row.lat, row.lon)
        hours = (row.event_time - history.event_time[previous]) / _HOUR
        out[1] = away
        out[2] = away / max(hours, 1.0 / 60.0)
    known = row.location != UNKNOWN
    out[3] = known and _occurrences(history.location, row.location, seen) == 0


@compiled
def _merchant_risk(sums: Micros, out: Out) -> None:
    prior = _PRIOR_RATE * _PRIOR_WEIGHT
    out[0] = sums[0]
    out[1] = sums[1]
    out[2] = (sums[3] + prior) / (sums[2] + _PRIOR_WEIGHT)
    out[3] = (sums[5] + prior) / (sums[4] + _PRIOR_WEIGHT)


@compiled
def _fill_row(history: History, row: Row, scratch: Scratch, out: Out) -> None:
    """Write the features of one row."""
    seen = scratch.seen[: _window(history, row, scratch.seen)]
    totals = _totals(history, row, seen)
    _amount(history, row, seen, totals, out[0:6])
    _time(row, out[6:12])
    _velocity(totals, out[12:23])
    _behaviour(history, row, seen, totals, out[23:29])
    _counterparty(history, row, seen, scratch.stamps, out[29:35])
    _geo(history, row, seen, out[35:39])
    _merchant_risk(row.sums, out[39:43])


@compiled
def fill_rows(table: Table, start: int, stop: int, scratch: Scratch, out: Out) -> None:
    """Write the features of the rows at [start, stop), each into its line of `out`."""
    history = table.history
    for i in range(start, stop):
        line = table.targets[i]
        row = Row(
            table.begins[i],
            i,
            table.first_seen,
            table.sums[line],
            history.event_time[i],
            history.ingested_at[i],
            table.offset_min[i],
            history.bucket[i],
            history.amount[i],
            history.merchant[i],
            history.category[i],
            history.location[i],
            history.lat[i],
            history.lon[i],
            table.home_lat[i],
            table.home_lon[i],
        )
        _fill_row(history, row, scratch, out[line])
