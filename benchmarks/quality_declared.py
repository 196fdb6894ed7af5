"""Faults injected into clean rows of a declared use case, and clean rows of several worlds."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

import usecases
from shared.importing.files import PLACES, Piece
from shared.rows.convert import RowConverter, needed_sources
from shared.rows.declaration import FILE_NAME, Declaration, parse_declaration, read_declaration
from shared.rows.encoder import colliding_words
from shared.rows.frames import snapshot_schema
from shared.verdicts import Verdict
from usecases.declared.generated import Generated
from usecases.declared.quality.judge import judge_quality

DECLARED = parse_declaration("""
[use_case]
name = "churn"
task = "binary"
entity = "customer"
time = "as_of"
[label]
column = "churned"
positive = "yes"
negative = "no"
[columns]
charge = { kind = "number", min = 0, max = 1000 }
contract = { kind = "category", values = ["month", "year"] }
city = "category"
shop = "category"
fibre = "flag"
last_call = { kind = "moment", required = false }
""")
DAY_US = 86_400_000_000
NOW_US = 20_000 * DAY_US
ROWS = 3_000


def clean(seed: int = 1) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    times = np.sort(random.integers(NOW_US - 200 * DAY_US, NOW_US - DAY_US, ROWS))
    charge = random.gamma(9.0, 6.0, ROWS)
    frame = pl.DataFrame(
        {
            "row_id": [f"r{number}" for number in range(ROWS)],
            "entity": [f"c{number}" for number in random.integers(0, ROWS // 3, ROWS)],
            "event_time": times,
            "ingested_at": times,
            "charge": charge,
            "contract": random.choice(["month", "year"], ROWS),
            "city": random.choice(["Ulm", "Kiel", "Bonn", "Trier"], ROWS),
            "shop": random.choice(["north", "south", "west"], ROWS),
            "fibre": random.random(ROWS) < 0.4,
            "last_call": times - random.integers(1, 90, ROWS) * DAY_US,
            "label": (random.random(ROWS) < 0.2).astype(np.float64),
            "label_known_at": times,
            "label_source": "import",
            "label_sent_by": None,
            "sent_by": None,
        }
    )
    return frame.select(
        pl.col(name).cast(kind) for name, kind in snapshot_schema(DECLARED.row_schema).items()
    )


def verdict(frame: pl.DataFrame) -> Verdict:
    return judge_quality(frame, NOW_US, DECLARED)


newest = pl.int_range(pl.len()) >= ROWS - ROWS // 10
every_fifth = pl.int_range(pl.len()) % 5 == 0


def where(mask: pl.Expr, column: str, value: object) -> Callable[[pl.DataFrame], pl.DataFrame]:
    made = value if isinstance(value, pl.Expr) else pl.lit(value)
    return lambda frame: frame.with_columns(
        pl.when(mask).then(made).otherwise(column).cast(frame.schema[column]).alias(column)
    )


TWINS = next(iter(colliding_words((f"word-{number}" for number in range(12_000)), 1).items()))
FAULTS: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], str, str]] = {
    "an absent column": (lambda frame: frame.drop("charge"), "column_absent", "charge"),
    "a column of another type": (
        lambda frame: frame.with_columns(pl.col("fibre").cast(pl.String)), "column_type", "fibre",
    ),
    "too few rows": (lambda frame: frame.head(20), "too_few_rows", "snapshot"),
    "no labels": (where(pl.lit(value=True), "label", None), "too_few_labels", "snapshot"),
    "one class": (where(pl.lit(value=True), "label", 0.0), "too_few_of_a_class", "'yes'"),
    "not a number": (where(every_fifth, "charge", float("nan")), "charge_not_finite", "charge"),
    "an infinite number": (where(every_fifth, "charge", float("inf")), "charge_not_finite", "rows"),
    "a number beyond its bounds": (where(every_fifth, "charge", -1.0), "charge_out_of_range", "0"),
    "an undeclared word": (where(every_fifth, "contract", "weekly"), "new_category", "'weekly'"),
    "an empty word": (where(every_fifth, "city", ""), "city_missing", "city"),
    "a time in the future": (
        where(every_fifth, "event_time", NOW_US + 9 * DAY_US), "future_event", "event_time",
    ),
    "a time in the wrong unit": (where(every_fifth, "event_time", -(10**17)), "ancient_event", ""),
    "a row that came before it happened": (
        where(every_fifth, "ingested_at", pl.col("event_time") - 3 * DAY_US),
        "ingested_before_event", "ingested_at",
    ),
    "a moment in the wrong unit": (
        where(every_fifth, "last_call", -(10**17)), "ancient_moment", "last_call",
    ),
    "a moment centuries ahead": (
        where(every_fifth, "last_call", NOW_US + 200 * 365 * DAY_US), "distant_moment", "last_call",
    ),
    "a label without an instant": (
        where(every_fifth, "label_known_at", None), "label_without_instant", "label_known_at",
    ),
    "a label that was known before the row": (
        where(every_fifth, "label_known_at", 0), "label_before_event", "label_known_at",
    ),
    "a label that is not known yet": (
        where(every_fifth, "label_known_at", NOW_US + DAY_US), "label_from_future", "",
    ),
    "a label of no class": (where(every_fifth, "label", 2.0), "label_unknown", "label"),
    "an id twice": (where(every_fifth, "row_id", "r0"), "row_id_repeated", "'r0'"),
    "a file imported twice": (
        lambda frame: pl.concat([frame, frame.with_columns(row_id="again-" + pl.col("row_id"))]),
        "rows_repeated", "imported twice",
    ),
    "a burst of empty values": (where(newest, "charge", None), "null_burst", "charge"),
    "a column that stands still": (where(newest, "city", "Ulm"), "constant_column", "'Ulm'"),
    "cents instead of euros": (
        where(newest, "charge", pl.col("charge").clip(upper_bound=9) * 100 + 4_000),
        "changed_unit", "charge",
    ),
    "a thousandth of the amounts": (
        where(newest, "charge", pl.col("charge") / 1_000), "changed_unit", "1000 times smaller",
    ),
    "new words everywhere": (where(newest, "city", "Atlantis"), "new_category", "'Atlantis'"),
    "columns that were exchanged": (where(newest, "city", pl.col("shop")), "columns_swapped", ""),
    "labels turned round": (
        where(newest, "label", 1.0 - pl.col("label")), "labels_flipped", "'yes'",
    ),
    "two words with one hash": (
        lambda frame: where(every_fifth, "city", TWINS[1])(
            where(pl.int_range(pl.len()) % 7 == 1, "city", TWINS[0])(frame)
        ),
        "hash_collision", "slots = 2",
    ),
}  # fmt: skip


SHIPPED = ("churn", "deliveries", "tickets")
_GENERATED_ROWS, _FAR_US = 3_000, 4_000_000_000_000_000


def named_faults() -> Iterator[tuple[str, bool, Verdict]]:
    """Each fault, whether it was caught and named, and what was said."""
    for name, (inject, fault, part) in FAULTS.items():
        found = verdict(inject(clean()))
        is_named = not found.passed and fault in found.numbers and part in found.reason
        yield name, is_named, found


def clean_verdicts(seeds: int) -> Iterator[tuple[str, Verdict]]:
    """Verdicts about clean rows: this many worlds here, and of each use case that ships."""
    for seed in range(seeds):
        yield f"rows {seed}", verdict(clean(seed))
    for name in SHIPPED:
        declared = read_declaration(Path(usecases.__file__).parent / name / FILE_NAME)
        generated: Generated = importlib.import_module(f"usecases.{name}.generate").GENERATED
        for seed in range(seeds):
            rows = _imported(declared, generated.make(_GENERATED_ROWS, seed, None))
            now_us = int(rows["ingested_at"].max()) + DAY_US  # type: ignore[arg-type]
            known = pl.when(pl.col("label_known_at") <= now_us)
            hidden = [known.then(column).alias(column) for column in ("label", "label_known_at")]
            yield f"{name} {seed}", judge_quality(rows.with_columns(hidden), now_us, declared)


def _imported(declared: Declaration, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows as a snapshot has them after an import."""
    columns = needed_sources(declared, frame.columns, "generated")
    places = pl.Series(PLACES[0], range(1, frame.height + 1), pl.Int64)
    piece = Piece(frame.select(pl.col(columns).cast(pl.String)), places, places, 1.0)
    accepted = RowConverter(declared, _FAR_US).convert(piece).accepted
    source = pl.when(pl.col("label").is_not_null()).then(pl.lit("import")).alias("label_source")
    nobody = [pl.lit(None, pl.String).alias(name) for name in ("label_sent_by", "sent_by")]
    return accepted.with_columns(source, *nobody).select(
        pl.col(name).cast(kind) for name, kind in snapshot_schema(declared.row_schema).items()
    )
