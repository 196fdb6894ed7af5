"""Screen 7, Traffic: what is being decided, and did it change at the swap?"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup
from sqlalchemy import ColumnClause, Connection, Select, column, desc, inspect, select, table

from console.charts import columns as column_chart
from console.files import ModelFiles
from console.render import plain
from console.screen import Params, Reading, Row, Screen
from console.screens.now import Rate, rates

SAMPLE_ROWS = 1_500
"""Newest decisions that are read of each time: enough for shares to a percent or two."""

_REASON_ROWS = 400
_MOST_WALKED = 20_000
_BINS = 20
_MOST_DECISIONS, _MOST_REASONS = 20, 12
_LIVE_POINTS = 240


@dataclass(frozen=True, slots=True)
class DecisionTable:
    """The table of the use case's decisions.

    Attributes:
        ordered_by: an instant with an index.
        decided_at: the instant of the decision.
        row_id: the column of a row's id.
    """

    name: str
    ordered_by: str
    decided_at: str
    row_id: str


@dataclass(frozen=True, slots=True)
class DecisionShare:
    """The frequency of a decision; a share is None where nothing was decided."""

    name: str
    rows: int
    share: float | None
    share_before: float | None


@dataclass(frozen=True, slots=True)
class Era:
    """The newest decisions before or since the last swap."""

    rows: int
    from_us: int | None
    until_us: int | None
    mean_score: float | None
    p95_ms: float | None
    histogram: tuple[int, ...]
    versions: tuple[str, ...]
    chart: Markup | None = field(metadata={"shown": False})


@dataclass(frozen=True, slots=True)
class TrafficView:
    """The newest decisions, compared with those before the last swap."""

    table: str | None
    swapped_at_us: int | None
    version: str | None
    since: Era
    before: Era | None
    decisions: tuple[DecisionShare, ...]
    reasons: tuple[DecisionShare, ...]
    low: float
    high: float
    rates: tuple[Rate, ...]


def read(reading: Reading, _params: Params) -> TrafficView:
    """Two samples by an index, each of SAMPLE_ROWS rows at most."""
    found = decision_table(reading)
    ledger = reading.files("ledger", ModelFiles.ledger, None)
    last = ledger.activations[-1] if ledger and ledger.activations else None
    swapped = None if last is None else last.activated_at_us
    has_two = ledger is not None and len(ledger.activations) > 1
    since = _sample(reading, found, swapped, is_before=False)
    before = _sample(reading, found, swapped, is_before=True) if swapped and has_two else []
    reasons = _reason_codes(reading, found, swapped, is_before=False)
    reasons_before = _reason_codes(reading, found, swapped, is_before=True) if before else []
    low, high = _range([*since, *before])
    shares = _shares([row.decision for row in since], [row.decision for row in before])
    return TrafficView(
        table=None if found is None else found.name,
        swapped_at_us=swapped,
        version=None if last is None else last.version,
        since=_era("Scores since the last swap", since, low, high),
        before=_era("Scores before the last swap", before, low, high) if before else None,
        decisions=shares[:_MOST_DECISIONS],
        reasons=_reasons(reasons, reasons_before),
        low=low,
        high=high,
        rates=rates(reading.sources.samples, _LIVE_POINTS),
    )


def decision_table(reading: Reading) -> DecisionTable | None:
    """The decision table of the live version's use case; None: there are no decisions yet.

    Declared use cases have tables of their own, NAME_vN_decisions; the newest N is in use.
    """
    name = reading.files("use_case", _use_case, "")
    return reading.database(("decision_table", name), lambda link: _find_table(link, name), None)


def _use_case(files: ModelFiles) -> str:
    version = files.current_version()
    meta = None if version is None else files.meta(version)
    return "" if meta is None else meta.manifest.use_case


def _find_table(connection: Connection, use_case: str) -> DecisionTable | None:
    names = inspect(connection).get_table_names()
    own = re.compile(rf"{re.escape(use_case.lower())}_v(\d+)_decisions")
    numbered = [(int(found[1]), name) for name in names if (found := own.fullmatch(name.lower()))]
    if numbered:
        return DecisionTable(max(numbered)[1], "decided_at", "decided_at", "row_id")
    if "apitransactionlogs" in names:
        return DecisionTable("apitransactionlogs", "event_time", "ingested_at", "transaction_id")
    return None


@dataclass(frozen=True, slots=True)
class _Decided:
    at_us: int
    decision: str
    version: str
    score: float | None
    latency_ms: float | None


def _sample(
    reading: Reading, found: DecisionTable | None, swapped: int | None, *, is_before: bool
) -> list[_Decided]:
    if found is None:
        return []
    key = ("decided", found.name, swapped, is_before)

    def query(connection: Connection) -> list[_Decided]:
        newest = _newest(found, _COLUMNS, swapped, SAMPLE_ROWS, is_before=is_before)
        return [_decided(row) for row in connection.execute(newest)]

    return reading.rows(key, query)


def _newest(
    found: DecisionTable, names: Sequence[str], swapped: int | None, limit: int, *, is_before: bool
) -> Select[Any]:
    """The newest rows of a time.

    Callers may say when a row happened, so it can be older than its decision. Such rows are
    looked for among the newest `_MOST_WALKED` by the index, so that a page is never slow.
    """
    at: ColumnClause[int] = column(found.decided_at)
    order: ColumnClause[int] = column(found.ordered_by)
    instants = {one.name: one for one in (at, order)}.values()
    source = table(found.name, *instants, *map(column, names))
    walked = select(at, *(source.c[name] for name in names)).select_from(source)
    if swapped is None:
        return walked.order_by(desc(order)).limit(limit)
    if is_before:
        walked = walked.where(order < swapped)
    newest = walked.order_by(desc(order)).limit(_MOST_WALKED).subquery()
    decided = newest.c[found.decided_at]
    return select(newest).where(decided < swapped if is_before else decided >= swapped).limit(limit)


def _reason_codes(
    reading: Reading, found: DecisionTable | None, swapped: int | None, *, is_before: bool
) -> list[tuple[str, ...]]:
    """The codes of fewer rows: they are long texts."""
    if found is None:
        return []
    key = ("reasons", found.name, swapped, is_before)

    def query(connection: Connection) -> list[tuple[str, ...]]:
        newest = _newest(found, (_REASONS,), swapped, _REASON_ROWS, is_before=is_before)
        return [_codes(row[1]) for row in connection.execute(newest)]

    return reading.rows(key, query)


_COLUMNS = ("decision", "model_version", "score", "latency_ms")
_REASONS = "reason_codes"


def _decided(row: Any) -> _Decided:
    at_us, decision, version, score, latency_ms = row
    return _Decided(at_us, str(decision or "none"), version, _finite(score), latency_ms)


def _codes(stored: Any) -> tuple[str, ...]:
    """Codes of the reasons of one row, each once."""
    try:
        found = json.loads(stored) if isinstance(stored, str) else stored
    except ValueError:
        return ()
    listed = found if isinstance(found, list) else []
    codes = (one.get("code") for one in listed if isinstance(one, Mapping))
    return tuple(dict.fromkeys(str(code) for code in codes if code))


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _range(rows: Sequence[_Decided]) -> tuple[float, float]:
    """The range of the histogram: 0 to 1 for probabilities, the observed range for other scores."""
    scores = [row.score for row in rows if row.score is not None]
    low, high = min(scores, default=0.0), max(scores, default=1.0)
    if low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    return low, high if high > low else low + 1.0


def _era(title: str, rows: Sequence[_Decided], low: float, high: float) -> Era:
    scores = [row.score for row in rows if row.score is not None]
    counts = [0] * _BINS
    for score in scores:
        counts[min(_BINS - 1, int(_BINS * (score - low) / (high - low)))] += 1
    times = sorted(row.latency_ms for row in rows if row.latency_ms is not None)
    return Era(
        rows=len(rows),
        from_us=min((row.at_us for row in rows), default=None),
        until_us=max((row.at_us for row in rows), default=None),
        mean_score=sum(scores) / len(scores) if scores else None,
        p95_ms=times[int(0.95 * (len(times) - 1))] if times else None,
        histogram=tuple(counts),
        versions=tuple(sorted({row.version for row in rows})),
        chart=column_chart(title, counts) if scores else None,
    )


def _shares(now: Sequence[str], before: Sequence[str]) -> tuple[DecisionShare, ...]:
    counts, earlier = Counter(now), Counter(before)
    names = sorted({*counts, *earlier}, key=lambda name: -counts[name])
    return tuple(
        DecisionShare(
            name,
            counts[name],
            counts[name] / len(now) if now else None,
            earlier[name] / len(before) if before else None,
        )
        for name in names
    )


def _reasons(
    now: Sequence[tuple[str, ...]], earlier: Sequence[tuple[str, ...]]
) -> tuple[DecisionShare, ...]:
    """Shares of rows that have a reason; a row may have several."""
    counts = Counter(code for codes in now for code in codes)
    old = Counter(code for codes in earlier for code in codes)
    names = sorted({*counts, *old}, key=lambda name: -counts[name])[:_MOST_REASONS]
    return tuple(
        DecisionShare(
            name,
            counts[name],
            counts[name] / len(now) if now else None,
            old[name] / len(earlier) if earlier else None,
        )
        for name in names
    )


def rows(view: TrafficView) -> list[Row]:
    """Shares of decisions and of reasons."""
    kinds = (("decision", view.decisions), ("reason", view.reasons))
    return [{"kind": kind, **plain(one)} for kind, listed in kinds for one in listed]


SCREEN = Screen(
    number=7,
    path="/traffic",
    name="Traffic",
    question="What is being decided, and did it change at the swap?",
    template="traffic.html",
    read=read,
    rows=rows,
    command=lambda _params: "understudy status",
)
