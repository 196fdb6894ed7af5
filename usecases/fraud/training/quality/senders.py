"""New callers that dominate an entity's history: most of its recent rows are theirs alone.

A caller is new when it was first heard of within `NEW_DAYS` while others have been here for longer.
What it sends is compared with what all callers have sent since: of an entity that was known before,
most rows, labels or positive labels are its own, and far more than of the other entities. A caller
that takes over all traffic, or an even share of it, is not reported, nor is the only one. Where no
other caller has sent enough since, what the caller sends is compared with what is usually sent:
nearly all of it about an entity that usually has little.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import binom

from learning.dataset.scanned import Snapshot
from shared.clock import MICROS_PER_DAY, MICROS_PER_SECOND, to_datetime
from shared.tables.data_changes import IMPORT_SENDER
from shared.verdicts import Finding, Number

from .context import Context

NEW_DAYS = 14
MIN_SENT = 10
"""Fewer rows or labels of an entity may be anything, and move no window far."""

MIN_OTHERS = 20
"""The fewest rows of other entities from which a caller's usual share can be estimated."""

TIMES_USUAL = 3.0
"""An entity's share of a few rows may be this many times its usual share, by its own days."""

MOSTLY = 0.5
CHANCE = 1e-4
"""The probability that any entity stands out this far when the new caller sends equal shares."""

IMPORTED = "(imported)"
ENTITIES = ("merchant_id", "user_id")


@dataclass(frozen=True, slots=True)
class _Feed:
    """Something that callers send: rows or labels, and by which columns who did and when.

    Attributes:
        which: the judged part of them; all of them give the caller's share.
    """

    what: str
    sender: str
    instant: str
    which: pl.Expr


_IS_LABELLED = pl.col("label").is_not_null()
_FEEDS = (
    _Feed("rows", "sent_by", "ingested_at", pl.lit(value=True)),
    _Feed("labels", "label_sent_by", "label_known_at", _IS_LABELLED),
    _Feed("positive labels", "label_sent_by", "label_known_at", pl.col("label") == 1),
)


@dataclass(frozen=True, slots=True)
class _Newcomer:
    name: str
    since_us: int


def new_senders(snapshot: Snapshot, context: Context) -> list[Finding]:
    """Known merchants and customers of whom a new caller lately sent most."""
    new_us = context.as_of_us - NEW_DAYS * MICROS_PER_DAY
    found: list[Finding] = []
    for feed in _FEEDS:
        if snapshot[feed.sender].n_unique() < 2:
            continue
        sent = (
            snapshot.lazy()
            .filter(pl.col(feed.instant).is_not_null())
            .select(
                *ENTITIES,
                sender=_caller(pl.col(feed.sender)),
                at=pl.col(feed.instant),
                judged=feed.which,
            )
        )
        before = snapshot.lazy().filter(pl.col("ingested_at") < new_us)
        for newcomer, entity in product(_newcomers(sent, new_us), ENTITIES):
            since = sent.filter(pl.col("at") >= newcomer.since_us).collect()
            known = before.select(entity).drop_nulls().collect()[entity]
            hit = _written(since, newcomer.name, entity, known)
            if not hit.is_empty() and not _is_told(found, newcomer.name, entity):
                found.append(_told(feed, newcomer, entity, hit))
    return sorted(found, key=lambda one: -int(one.numbers["own"] or 0))


def _caller(sender: pl.Expr) -> pl.Expr:
    """The sender; all imports count as one, because only operators can import."""
    is_import = sender.is_null() | sender.str.starts_with(IMPORT_SENDER)
    return pl.when(is_import).then(pl.lit(IMPORTED)).otherwise(sender)


def _newcomers(sent: pl.LazyFrame, new_us: int) -> Iterator[_Newcomer]:
    """Callers first seen since then; no caller is new where none was seen before."""
    first = sent.group_by("sender").agg(pl.col("at").min()).sort("sender").collect()
    if first["at"].min() is None or first.filter(pl.col("at") < new_us).is_empty():
        return
    for name, at in first.filter(pl.col("at") >= new_us).iter_rows():
        if name != IMPORTED:
            yield _Newcomer(name, at)


def _written(since: pl.DataFrame, name: str, entity: str, known: pl.Series) -> pl.DataFrame:
    """Entities of which the caller sent most since it came; the one with most comes first."""
    is_own = pl.col("sender") == name
    counts = (
        since.drop_nulls(entity)
        .group_by(entity)
        .agg(
            sent=pl.col("judged").sum(),
            own=(pl.col("judged") & is_own).sum(),
            of=pl.len(),
            of_own=is_own.sum(),
        )
        .with_columns(rest=pl.col("of").sum() - pl.col("of"))
        .with_columns(rest_own=pl.col("of_own").sum() - pl.col("of_own"))
    )
    most = (pl.col("own") >= MIN_SENT) & (pl.col("own") > MOSTLY * pl.col("sent"))
    judged = counts.filter(most).join(known.value_counts(name="usual"), on=entity)
    is_judged = pl.Series(_is_no_chance(judged, len(known), counts.height))
    return judged.filter(is_judged).sort("own", entity, descending=[True, False])


def _is_no_chance(judged: pl.DataFrame, known: int, entities: int) -> npt.NDArray[np.bool_]:
    """True if the caller sends far more of an entity than of others, and than is usually sent."""
    own, sent, of_own, rest, rest_own, usual = (
        judged[name].to_numpy().astype(np.float64)
        for name in ("own", "sent", "of_own", "rest", "rest_own", "usual")
    )
    # over the other entities: the examined rows must not define the norm
    elsewhere = binom.sf(own - 1, sent, (rest_own + 1) / (rest + 2))
    focus = np.minimum(TIMES_USUAL * usual / max(known, 1), 1.0)
    focused = binom.sf(of_own - 1, of_own + rest_own, focus)
    chance = np.where(rest >= MIN_OTHERS, elsewhere, focused) * entities
    return np.asarray(chance < CHANCE)


def _is_told(found: list[Finding], name: str, entity: str) -> bool:
    """One finding for each caller and column, naming what to investigate."""
    return any((one.column, one.numbers["caller"]) == (entity, name) for one in found)


def _told(feed: _Feed, newcomer: _Newcomer, entity: str, hit: pl.DataFrame) -> Finding:
    own, sent = int(hit["own"].sum()), int(hit["sent"].sum())
    since = to_datetime(newcomer.since_us // MICROS_PER_SECOND * MICROS_PER_SECOND)
    # verdicts contain no ids of customers
    example = f", e.g. {hit[entity][0]!r}" if entity == "merchant_id" else ""
    says = (
        f"of {hit.height} known before{example}: {own} of {sent} {feed.what} since "
        f"{since:%Y-%m-%d %H:%M} are from the new caller {newcomer.name!r}; "
        "check what it sends, revoke its token or accept it"
    )
    numbers: dict[str, Number] = {
        "entities": hit.height,
        "own": own,
        "sent": sent,
        "caller": newcomer.name,
        "what": feed.what,
    }
    return Finding("new_sender", entity, says, numbers)
