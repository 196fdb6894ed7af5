"""The one definition of the features: compiled code that turns a row and its past into 43 floats.

Batch and online both end in `_fill_row`, so they cannot disagree. Arithmetic is IEEE double in a
fixed order (newest prior row first), rounded to float32 once, at the end.

Unknown values (code -1, NaN coordinates) equal nothing, and nothing is called new about them.
"""

import math

from native.compiled import compiled

from .layout import (
    AMOUNT,
    BUCKET,
    CATEGORY,
    EVENT_TIME,
    INGESTED_AT,
    LAT,
    LON,
    MERCHANT,
    NEVER,
    PLACE,
    STAMPS,
    UNKNOWN,
    Floats,
    History,
    HistoryTable,
    Micros,
    Out,
    Rest,
    TargetRow,
    Walk,
)

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_WEEK = 7 * _DAY
_MONTH = 30 * _DAY
_NO_PREVIOUS_SECONDS = 2_592_000.0
_EARTH_KM = 6371.0088
_PRIOR_RATE = 0.005
_PRIOR_WEIGHT = 2.0


@compiled
def _walk(history: History, row: TargetRow, stamps: Micros) -> Walk:  # noqa: C901 - a branch a window
    """One pass over the visible rows of the last 30 days, newest first, `most` of them."""
    previous = -1
    count = cnt_10m = cnt_1h = cnt_24h = cnt_7d = 0
    total = sum_1h = sum_24h = sum_7d = largest = 0.0
    same_bucket = same_merchant = same_category = same_location = in_day = in_month = 0
    for j in range(row.end - 1, row.begin - 1, -1):
        age = row.event_time - history.event_time[j]
        if age > _MONTH or count == row.most:
            break
        if age <= 0 or history.ingested_at[j] > row.ingested_at:
            continue
        if count == 0:
            previous = j
        count += 1
        total += history.amount[j]
        largest = max(largest, history.amount[j])
        if age <= _WEEK:
            cnt_7d, sum_7d = count, total
        if age <= _DAY:
            cnt_24h, sum_24h = count, total
        if age <= _HOUR:
            cnt_1h, sum_1h = count, total
        if age <= 10 * _MINUTE:
            cnt_10m = count
        merchant = history.merchant[j]
        same_bucket += history.bucket[j] == row.bucket
        same_merchant += merchant == row.merchant
        same_category += history.category[j] == row.category
        same_location += history.location[j] == row.location
        # each merchant counts once, at its first row
        if merchant != UNKNOWN and stamps[merchant] != row.stamp:
            stamps[merchant] = row.stamp
            in_month += 1
            in_day += age <= _DAY
    if row.merchant == UNKNOWN:
        same_merchant = 0
    if row.category == UNKNOWN:
        same_category = 0
    if count == 0:
        previous = _previous(history, row)
    return Walk(previous, cnt_10m, cnt_1h, cnt_24h, cnt_7d, count, sum_1h, sum_24h, sum_7d, total,
                largest, same_bucket, same_merchant, same_category, same_location,
                in_day, in_month)  # fmt: skip


@compiled
def _previous(history: History, row: TargetRow) -> int:
    """The newest visible row of any age, or -1."""
    for j in range(row.end - 1, row.begin - 1, -1):
        earlier = history.event_time[j] < row.event_time
        if earlier and history.ingested_at[j] <= row.ingested_at:
            return j
    return -1


@compiled
def _first_seen(history: History, row: TargetRow) -> int:
    """The instant at which the user was first seen, also in rows that were not loaded."""
    for j in range(row.begin, row.end):
        if history.event_time[j] >= row.event_time:
            break
        if history.ingested_at[j] <= row.ingested_at:
            here: int = history.event_time[j]
            return min(row.first_seen, here)
    return row.first_seen


@compiled
def _deviation(history: History, row: TargetRow, walk: Walk, mean: float) -> float:
    """Sample standard deviation of the amounts of the walk; 0 below two."""
    if walk.cnt_30d < 2:
        return 0.0
    squares = 0.0
    left = walk.cnt_30d
    for j in range(walk.previous, row.begin - 1, -1):
        age = row.event_time - history.event_time[j]
        if age > 0 and history.ingested_at[j] <= row.ingested_at:
            squares += (history.amount[j] - mean) ** 2
            left -= 1
            if left == 0:
                break
    return math.sqrt(squares / (walk.cnt_30d - 1))


@compiled
def _amount(history: History, row: TargetRow, walk: Walk, out: Out) -> None:
    count = walk.cnt_30d
    mean = walk.sum_30d / count if count else 0.0
    deviation = _deviation(history, row, walk, mean)
    out[0] = row.amount
    out[1] = math.log1p(row.amount)
    out[2] = row.amount % 10.0 == 0.0
    out[3] = row.amount / mean if mean > 0.0 else 1.0
    out[4] = (row.amount - mean) / max(deviation, 1.0) if count >= 2 else 0.0
    out[5] = row.amount / walk.largest if walk.largest > 0.0 else 1.0


@compiled
def _time(row: TargetRow, out: Out) -> None:
    local_time = row.event_time + row.offset_min * _MINUTE
    hour = (local_time // _HOUR) % 24
    day = (local_time // _DAY + 3) % 7  # 1970-01-01 was a Thursday; Monday is 0
    out[0] = math.sin(2.0 * math.pi * hour / 24.0)
    out[1] = math.cos(2.0 * math.pi * hour / 24.0)
    out[2] = math.sin(2.0 * math.pi * day / 7.0)
    out[3] = math.cos(2.0 * math.pi * day / 7.0)
    out[4] = day >= 5
    out[5] = hour < 6


@compiled
def _velocity(walk: Walk, out: Out) -> None:
    out[0] = walk.cnt_10m
    out[1] = walk.cnt_1h
    out[2] = walk.cnt_24h
    out[3] = walk.cnt_7d
    out[4] = walk.cnt_30d
    out[5] = walk.sum_1h
    out[6] = walk.sum_24h
    out[7] = walk.sum_7d
    out[8] = walk.sum_30d
    out[9] = walk.sum_7d / walk.cnt_7d if walk.cnt_7d else 0.0
    out[10] = walk.sum_30d / walk.cnt_30d if walk.cnt_30d else 0.0


@compiled
def _behaviour(history: History, row: TargetRow, walk: Walk, out: Out) -> None:
    first_seen = _first_seen(history, row)
    previous = walk.previous
    count, total = walk.cnt_30d, walk.sum_30d
    out[0] = _NO_PREVIOUS_SECONDS
    out[1] = (row.event_time - first_seen) / _DAY if first_seen != NEVER else 0.0
    out[2] = walk.cnt_24h / (count / 30.0) if count else 0.0
    out[3] = walk.sum_24h / (total / 30.0) if total > 0.0 else 0.0
    out[4] = walk.same_bucket / count if count else 0.0
    out[5] = 1.0
    if previous >= 0:
        out[0] = (row.event_time - history.event_time[previous]) / _SECOND
        if history.amount[previous] > 0.0:
            out[5] = row.amount / history.amount[previous]


@compiled
def _counterparty(row: TargetRow, walk: Walk, out: Out) -> None:
    out[0] = row.merchant != UNKNOWN and walk.same_merchant == 0
    out[1] = walk.same_merchant
    out[2] = walk.merchants_24h
    out[3] = walk.merchants_30d
    out[4] = row.category != UNKNOWN and walk.same_category == 0
    out[5] = walk.same_category / walk.cnt_30d if walk.cnt_30d else 0.0


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
def _geo(history: History, row: TargetRow, walk: Walk, out: Out) -> None:
    previous = walk.previous
    out[0] = _kilometres(row.home_lat, row.home_lon, row.lat, row.lon)
    out[1] = 0.0
    out[2] = 0.0
    if previous >= 0:
        away = _kilometres(history.lat[previous], history.lon[previous], row.lat, row.lon)
        hours = (row.event_time - history.event_time[previous]) / _HOUR
        out[1] = away
        out[2] = away / max(hours, 1.0 / 60.0)
    out[3] = row.location != UNKNOWN and walk.same_location == 0


@compiled
def _merchant_risk(sums: Micros, out: Out) -> None:
    prior = _PRIOR_RATE * _PRIOR_WEIGHT
    out[0] = sums[0]
    out[1] = sums[1]
    out[2] = (sums[3] + prior) / (sums[2] + _PRIOR_WEIGHT)
    out[3] = (sums[5] + prior) / (sums[4] + _PRIOR_WEIGHT)


@compiled
def _fill_row(history: History, row: TargetRow, stamps: Micros, out: Out) -> None:
    """Write the features of one row."""
    walk = _walk(history, row, stamps)
    _amount(history, row, walk, out[0:6])
    _time(row, out[6:12])
    _velocity(walk, out[12:23])
    _behaviour(history, row, walk, out[23:29])
    _counterparty(row, walk, out[29:35])
    _geo(history, row, walk, out[35:39])
    _merchant_risk(row.sums, out[39:43])


@compiled
def _row(history: History, begin: int, end: int, rest: Rest) -> TargetRow:
    """The row at `end`, whose past lies at [begin, end)."""
    return TargetRow(begin, end, rest.first_seen, rest.stamp, rest.sums, history.event_time[end],
               history.ingested_at[end], rest.offset_min, history.bucket[end],
               history.amount[end], history.merchant[end], history.category[end],
               history.location[end], history.lat[end], history.lon[end],
               rest.home_lat, rest.home_lon, rest.most)  # fmt: skip


@compiled
def fill_rows(table: HistoryTable, start: int, stop: int, stamps: Micros, out: Out) -> None:
    """Write the features of the rows at [start, stop), each into its line of `out`."""
    for i in range(start, stop):
        line = table.targets[i]
        rest = Rest(NEVER, i + 1, table.sums[line], table.offset_min[i], table.home_lat[i],
                    table.home_lon[i], table.most)  # fmt: skip
        row = _row(table.history, table.begins[i], i, rest)
        _fill_row(table.history, row, stamps, out[line])


@compiled
def fill_last(integers: Micros, numbers: Floats, end: int, rest: Rest, out: Out) -> None:
    """Write the features of the row at `end` of one user's rows."""
    history = History(
        integers[EVENT_TIME],
        integers[INGESTED_AT],
        integers[BUCKET],
        numbers[AMOUNT],
        integers[MERCHANT],
        integers[CATEGORY],
        integers[PLACE],
        numbers[LAT],
        numbers[LON],
    )
    _fill_row(history, _row(history, 0, end, rest), integers[STAMPS], out)
