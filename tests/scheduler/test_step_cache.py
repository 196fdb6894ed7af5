"""A step whose inputs are the same is not done twice, and a damaged result does no harm."""

import dataclasses
import os
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import structlog
from sqlalchemy import Engine
from structlog.testing import capture_logs
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.steps import Note
from scheduler.step_cache import (
    RESUME_WITHIN_US,
    REUSED,
    CandidateSerializer,
    FrameSerializer,
    JsonSerializer,
    MatrixSerializer,
    Serializer,
    StepCache,
    code_digest,
    frame_digest,
    installed,
)
from scheduler.step_store import DIGESTS, ArtefactStore, key_of
from shared.tables.runs import RunStatus
from shared.usecase.learning import Candidate
from tests.scheduler.fakes import NAMES, NOW_US, TinyUseCase
from tests.support.cycle_bench import CycleBench

GIB = 2**30


class StillWorld(TinyUseCase):
    """Nothing happens in it."""

    def snapshot(self, engine: Engine, as_of_us: int) -> pl.DataFrame:
        return super().snapshot(engine, NOW_US)


@pytest.fixture
def store(tmp_path: Path) -> ArtefactStore:
    return ArtefactStore(tmp_path / "work", GIB)


@pytest.fixture
def step_cache(store: ArtefactStore, log: FilteringBoundLogger) -> StepCache:
    return StepCache(store, "code", log)


def test_a_result_is_computed_once_for_the_same_inputs(step_cache: StepCache) -> None:
    calls: list[int] = []

    def make() -> list[int]:
        calls.append(1)
        return [1, 2]

    notes = [Note() for _ in range(3)]
    for note, seed in zip(notes, (7, 7, 8), strict=True):
        assert step_cache.once(note, "train", {"seed": seed}, JsonSerializer(), make) == [1, 2]

    assert len(calls) == 2
    assert [note.result for note in notes] == ["ok", REUSED, "ok"]


def test_other_code_computes_again(store: ArtefactStore, log: FilteringBoundLogger) -> None:
    note = Note()
    for code in ("old", "new"):
        StepCache(store, code, log).once(note, "train", {}, JsonSerializer(), lambda: 1)

    assert note.result == "ok"


def test_what_is_damaged_is_computed_again(step_cache: StepCache, tmp_path: Path) -> None:
    step_cache.once(Note(), "train", {}, JsonSerializer(), lambda: 1)
    [kept] = (tmp_path / "work" / "train").glob("*/value.json")
    kept.write_text("{")
    note = Note()

    assert step_cache.once(note, "train", {}, JsonSerializer(), lambda: 2) == 2
    assert note.result == "ok"
    assert step_cache.once(note, "train", {}, JsonSerializer(), lambda: 3) == 2


def same(value: Any) -> Any:
    return value


def make_candidate() -> Candidate:
    use_case = TinyUseCase()
    rows = use_case.snapshot(None, NOW_US)  # type: ignore[arg-type]
    labels = rows["label"].to_numpy()
    return use_case.train(use_case.features(rows), labels, NAMES, 1, lambda *_: None)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.35, 0.5, 0.75, 0.999])
def test_one_flipped_bit_anywhere_in_a_kept_step_is_told_and_computed_again(
    step_cache: StepCache, tmp_path: Path, share: float
) -> None:
    rows = pl.DataFrame({"a": np.arange(5_000.0)})
    matrix = np.random.default_rng(1).random((2_000, 3)).astype(np.float32)
    kinds: dict[str, tuple[Serializer[Any], Any]] = {
        "snapshot": (FrameSerializer(), rows),
        "features": (MatrixSerializer(), matrix),
        "train": (CandidateSerializer(), make_candidate()),
        "as_of": (JsonSerializer(), 1_767_225_600_000_000),
    }
    for step, (serializer, value) in kinds.items():
        step_cache.once(Note(), step, {}, serializer, partial(same, value))
        files = [path for path in (tmp_path / "work" / step).rglob("*") if path.is_file()]
        assert len(files) >= 2
        for path in files:
            raw = bytearray(path.read_bytes())
            raw[min(int(len(raw) * share), len(raw) - 1)] ^= 1
            path.write_bytes(raw)
            note = Note()
            with capture_logs() as logs:
                step_cache.once(note, step, {}, serializer, partial(same, value))
            assert (step, path.name, note.result) == (step, path.name, "ok")
            assert [entry["event"] for entry in logs] == ["step_cache_unreadable"]
            note = Note()
            step_cache.once(note, step, {}, serializer, partial(same, value))
            assert note.result == REUSED


def test_a_result_in_anothers_place_is_none(step_cache: StepCache, tmp_path: Path) -> None:
    for seed in (1, 2):
        step_cache.once(Note(), "train", {"seed": seed}, JsonSerializer(), partial(same, seed))
    first, second = sorted((tmp_path / "work" / "train").iterdir())
    shutil.rmtree(second)
    shutil.copytree(first, second)
    for seed in (1, 2):
        found = step_cache.once(
            Note(), "train", {"seed": seed}, JsonSerializer(), partial(same, seed)
        )
        assert found == seed


def test_a_file_more_or_less_is_damage(step_cache: StepCache, tmp_path: Path) -> None:
    for change in ("more", "less", "no digests"):
        step_cache.once(Note(), "train", {}, JsonSerializer(), lambda: 1)
        [folder] = (tmp_path / "work" / "train").iterdir()
        if change == "more":
            (folder / "files").mkdir()
            (folder / "files" / "x").write_bytes(b"x")
        else:
            (folder / ("value.json" if change == "less" else DIGESTS)).unlink()
        assert step_cache.once(Note(), "train", {}, JsonSerializer(), lambda: 2) == 2
        step_cache = StepCache(
            ArtefactStore(tmp_path / "work", GIB), "code", structlog.get_logger()
        )
        shutil.rmtree(tmp_path / "work")


def test_every_installed_library_is_part_of_the_digest_of_code() -> None:
    known = {line.split()[0].lower() for line in installed()}
    assert {"numpy", "numba", "polars", "scikit-learn", "torch", "scipy", "llvmlite"} <= known
    assert len(known) > 30


def test_a_disk_that_takes_nothing_does_not_end_the_run(
    tmp_path: Path, log: FilteringBoundLogger
) -> None:
    (tmp_path / "work").write_text("a file where the folder should be")
    step_cache = StepCache(ArtefactStore(tmp_path / "work", GIB), "code", log)

    assert step_cache.once(Note(), "train", {}, JsonSerializer(), lambda: 1) == 1
    step_cache.prune()


def test_what_was_used_last_is_kept_and_the_rest_pruned(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path, 25_000)
    for age, key in enumerate("abcd"):
        store.keep("train", key, lambda folder: write(folder, 9_000))
        os.utime(tmp_path / "train" / key, (1_000 - age, 1_000 - age))
    assert store.find("train", "d") is not None

    assert 18_000 <= store.prune() < 20_000
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == ["a", "d"]


def test_half_a_result_is_never_seen_and_swept_up_a_day_later(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path, GIB)
    half = tmp_path / "train" / ".unfinished-a-1"
    half.mkdir(parents=True)
    write(half, 10)
    store.prune()
    assert half.exists()
    assert store.find("train", "a") is None
    os.utime(half, (time.time() - 100_000,) * 2)
    store.prune()
    assert not half.exists()


def test_keys_do_not_depend_on_the_order_of_inputs() -> None:
    assert key_of({"a": 1, "b": (2,)}) == key_of({"b": [2], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})


def test_every_form_gives_back_what_it_was_given(tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": ["a", None], "x": [1.5, float("nan")], "n": [1, 2]})
    matrix = np.array([[1, np.nan], [3, 4]], dtype=np.float32)
    use_case = TinyUseCase()
    rows = use_case.snapshot(None, NOW_US)  # type: ignore[arg-type]
    candidate = use_case.train(
        use_case.features(rows), rows["label"].to_numpy(), NAMES, 1, lambda *_: None
    )
    for name in ("frame", "matrix", "candidate"):
        (tmp_path / name).mkdir()
    FrameSerializer().save(tmp_path / "frame", frame)
    MatrixSerializer().save(tmp_path / "matrix", matrix)
    CandidateSerializer().save(tmp_path / "candidate", candidate)

    assert FrameSerializer().load(tmp_path / "frame").equals(frame)
    assert np.array_equal(MatrixSerializer().load(tmp_path / "matrix"), matrix, equal_nan=True)
    assert CandidateSerializer().load(tmp_path / "candidate") == candidate


def test_the_digest_of_rows_sees_values_names_and_order() -> None:
    rows = pl.DataFrame({"a": [1, 2], "b": [None, 1.0]})
    others = [
        pl.DataFrame({"a": [2, 1], "b": [1.0, None]}),
        pl.DataFrame({"a": [1, 2], "c": [None, 1.0]}),
        pl.DataFrame({"a": [1, 2], "b": [0.0, 1.0]}),
    ]
    assert frame_digest(rows) == frame_digest(rows.clone())
    assert len({frame_digest(one) for one in [rows, *others]}) == 4


def test_the_digest_of_code_is_stable_and_of_this_code(bench: CycleBench) -> None:
    assert code_digest(bench.use_case) == code_digest(TinyUseCase())
    assert code_digest(bench.use_case) != code_digest(object())


def test_a_second_run_on_the_same_data_trains_nothing(
    bench: CycleBench, step_cache: StepCache
) -> None:
    use_case = StillWorld()
    bench.context = dataclasses.replace(bench.context, step_cache=step_cache, use_case=use_case)
    first, second = bench.run(), bench.run()

    assert first.status is RunStatus.SUCCEEDED
    assert len(use_case.trained_on) == 1
    told = {step["step"]: step["result"] for step in second.steps}
    assert (told["snapshot"], told["features"], told["train"]) == ("ok", REUSED, REUSED)


def test_a_resumed_run_sees_the_data_it_began_with_for_a_day(
    bench: CycleBench, step_cache: StepCache
) -> None:
    run = bench.run()

    assert step_cache.as_of_us(run, NOW_US) == NOW_US
    assert step_cache.as_of_us(run, NOW_US + RESUME_WITHIN_US) == NOW_US
    late = NOW_US + RESUME_WITHIN_US + 1
    assert step_cache.as_of_us(run, late) == late
    assert step_cache.as_of_us(run, late + 5) == late


def write(folder: Path, size: int) -> None:
    (folder / "content").write_bytes(b"x" * size)
