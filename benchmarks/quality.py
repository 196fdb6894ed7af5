"""Data-quality gates measured: faults named, clean snapshots blocked, seconds needed.

`understudy`'s promise: at least 20 injected faults named, at most 1 % of clean snapshots
blocked, at most 2 s for a million rows of 30 columns. The rows are timed with 10 columns that
no check asks for beside the 20 that the snapshot has; the features are 43 more columns.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import polars as pl

from benchmarks.handbook_history import PARQUET, read_handbook
from benchmarks.quality_declared import clean_verdicts, named_faults
from benchmarks.quality_faults import FAULTS
from benchmarks.quality_material import FEATURE_FAULTS, material_of
from benchmarks.quality_senders import SENDER_FAULTS
from benchmarks.quality_world import NOW_US, as_known_at, simulated_snapshot
from benchmarks.report import Bar, finish
from shared.clock import MICROS_PER_DAY
from shared.verdicts import Verdict
from usecases.fraud.training.policy import read_policy
from usecases.fraud.training.quality.features import judge_features
from usecases.fraud.training.quality.judge import judge_quality
from usecases.fraud.training.snapshot import SCHEMA

BARS: dict[str, Bar] = {
    "faults_named": (">=", 20),
    "faults_missed": ("==", 0),
    "clean_snapshots": (">=", 200),
    "false_block_share": ("<=", 0.01),
    "seconds_per_million_rows": ("<=", 2.0),
    "seconds_per_million_feature_rows": ("<=", 2.0),
}
DECLARED_BARS: dict[str, Bar] = {
    "declared_faults_named": (">=", 20),
    "declared_faults_missed": ("==", 0),
    "declared_clean_snapshots": (">=", 200),
    "declared_false_block_share": ("<=", 0.01),
}
DECLARED_WORLDS = 60
POLICY = read_policy()
WORLDS, FIRST_SEED = 80, 10_000
DAYS_BACK = (0.0, 3.3, 6.9)
HANDBOOK_ENDS = range(0, 140, 7)
USERS_OF_TWENTY = (20, 1)
MILLION = 1_000_000
EXTRA_COLUMNS = 10
REPEATS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["declared"], help="leave out fraud")
    if parser.parse_args().only:
        finish("quality", declared(), DECLARED_BARS)
    named, missed = inject()
    blocked, snapshots = clean_blocks()
    finish(
        "quality",
        {
            "faults_named": named,
            "faults_missed": missed,
            "clean_snapshots": snapshots,
            "false_blocks": blocked,
            "false_block_share": blocked / snapshots,
            **timings(),
            **declared(),
        },
        BARS | DECLARED_BARS,
    )


def declared() -> dict[str, float]:
    """The same of declared use cases."""
    named = total = blocked = snapshots = 0
    for name, is_named, verdict in named_faults():
        named, total = named + is_named, total + 1
        tell(f"{'named ' if is_named else 'MISSED'}  {name}: {verdict.reason.split(';')[0]}")
    for name, verdict in clean_verdicts(DECLARED_WORLDS):
        snapshots += 1
        if not verdict.passed:
            blocked += 1
            tell(f"BLOCKED {name}: {verdict.reason}")
    return {
        "declared_faults_named": named,
        "declared_faults_missed": total - named,
        "declared_clean_snapshots": snapshots,
        "declared_false_block_share": blocked / snapshots,
    }


def inject() -> tuple[int, int]:
    """The number of faults that were caught and named, and of those that were not."""
    clean = simulated_snapshot(11)
    material = material_of(clean, NOW_US, POLICY)
    assert material is not None
    verdicts: list[tuple[str, str, Verdict]] = [
        (fault.name, fault.said, judge(fault.inject(clean, NOW_US), NOW_US))
        for fault in (*FAULTS, *SENDER_FAULTS)
    ]
    verdicts += [
        (fault.name, fault.said, judge_features(clean, fault.inject(material, clean)))
        for fault in FEATURE_FAULTS
    ]
    named = 0
    for name, said, verdict in verdicts:
        is_named = not verdict.passed and f"[{said}]" in verdict.reason
        named += is_named
        tell(f"{'named ' if is_named else 'MISSED'}  {name}: {verdict.reason.split(';')[0]}")
    return named, len(verdicts) - named


def clean_blocks() -> tuple[int, int]:
    """The number of clean snapshots that either gate blocked, and of all."""
    blocked = count = 0
    for name, rows, as_of_us, with_features in clean_snapshots():
        verdicts = [judge(rows, as_of_us)]
        material = material_of(rows, as_of_us, POLICY) if with_features else None
        if material is not None:
            verdicts.append(judge_features(rows, material))
        bad = [verdict for verdict in verdicts if not verdict.passed]
        count, blocked = count + 1, blocked + bool(bad)
        for verdict in bad:
            tell(f"blocked {name}: {verdict.reason}")
    return blocked, count


def clean_snapshots() -> Iterator[tuple[str, pl.DataFrame, int, bool]]:
    """Name, rows, instant, and whether features are worth their time as well."""
    rng = np.random.default_rng(FIRST_SEED)
    for seed in range(FIRST_SEED, FIRST_SEED + WORLDS):
        size = {
            "customers": int(rng.choice([40, 80, 150, 300])),
            "merchants": int(rng.choice([100, 200, 600])),
            "days": int(rng.choice([45, 60, 90, 150])),
        }
        share = float(rng.choice([0.006, 0.01, 0.03, 0.06]))
        now_us = NOW_US + int(rng.integers(0, 7 * MICROS_PER_DAY))
        world = simulated_snapshot(seed, now_us, crime_share=share, **size)
        for days_back in DAYS_BACK:
            as_of_us = now_us - round(days_back * MICROS_PER_DAY)
            name = f"world {seed} {size} share {share} {days_back:g} days back"
            yield name, as_known_at(world, as_of_us), as_of_us, not days_back
    if PARQUET.exists():
        yield from handbook_snapshots()


def handbook_snapshots() -> Iterator[tuple[str, pl.DataFrame, int, bool]]:
    """All customers and one in twenty, at the end of every week."""
    history = handbook()
    newest: int = history["event_time"].max()  # type: ignore[assignment]
    for days_back in HANDBOOK_ENDS:
        as_of_us = newest - days_back * MICROS_PER_DAY
        known = as_known_at(history, as_of_us)
        for part in USERS_OF_TWENTY:
            rows = known.filter(pl.col("user_id").hash(days_back) % 20 < part)
            yield f"handbook {part}/20 {days_back} days back", rows, as_of_us, False


def handbook() -> pl.DataFrame:
    history = read_handbook(NOW_US)
    absent = [pl.lit(None).alias(name) for name in SCHEMA if name not in history.columns]
    columns = [pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()]
    return history.with_columns(absent).select(columns).sort("event_time", "transaction_id")


def timings() -> dict[str, float]:
    """The best of several runs: other processes only ever add to it."""
    rows = simulated_snapshot(3, days=180, customers=2_760, merchants=6_000).tail(MILLION)
    extra = [pl.col("amount").alias(f"extra_{number}") for number in range(EXTRA_COLUMNS)]
    rows = rows.with_columns(extra)
    material = material_of(rows, NOW_US, POLICY)
    assert material is not None
    return {
        "rows": rows.height,
        "columns": rows.width,
        "seconds_per_million_rows": best(lambda: judge(rows, NOW_US)),
        "feature_columns": len(material.names),
        "seconds_per_million_feature_rows": best(lambda: judge_features(rows, material)),
    }


def best(run: Callable[[], Verdict]) -> float:
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        verdict = run()
        seconds.append(time.perf_counter() - started)
    assert verdict.passed, verdict.reason
    return round(min(seconds), 3)


def judge(rows: pl.DataFrame, as_of_us: int) -> Verdict:
    return judge_quality(rows, as_of_us, POLICY.quality)


def tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
