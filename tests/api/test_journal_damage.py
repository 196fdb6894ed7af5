"""What a power cut or a disk did to a journal costs what it hit: all else is drained."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.journal.frames import frame
from api.journal.segments import Checkpoint, Position, first_between, segment_numbers, segment_path
from tests.support.damaged_journals import BOUND, Tells, drain, newest, opened


def shorter(directory: Path) -> None:
    os.truncate(newest(directory), newest(directory).stat().st_size // 3)


def zero_filled(directory: Path) -> None:
    size = newest(directory).stat().st_size
    os.truncate(newest(directory), size // 3)
    os.truncate(newest(directory), size)


def a_bit_flipped_in_the_drained_part(directory: Path) -> None:
    raw = bytearray(newest(directory).read_bytes())
    raw[20] ^= 4
    newest(directory).write_bytes(raw)


def emptied(directory: Path) -> None:
    os.truncate(newest(directory), 0)


def gone(directory: Path) -> None:
    newest(directory).unlink()


def another_number_in_the_checkpoint(directory: Path) -> None:
    path = directory / "checkpoint.json"
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | {"offset": 1_000_000}))


def a_checkpoint_ahead(directory: Path) -> None:
    Checkpoint(directory / "checkpoint.json").save(Position(1, 1_000_000), durable=False)


def a_checkpoint_of_a_later_segment(directory: Path) -> None:
    Checkpoint(directory / "checkpoint.json").save(Position(9, 77), durable=False)


def no_checkpoint(directory: Path) -> None:
    (directory / "checkpoint.json").unlink()


def a_checkpoint_without_checksum(directory: Path) -> None:
    (directory / "checkpoint.json").write_bytes(b'{"segment":1,"offset":1000000}')


@pytest.mark.parametrize(
    "happened",
    [shorter, zero_filled, a_bit_flipped_in_the_drained_part, emptied, gone,
     another_number_in_the_checkpoint, a_checkpoint_ahead, a_checkpoint_of_a_later_segment,
     no_checkpoint, a_checkpoint_without_checksum],
)  # fmt: skip
def test_what_is_acknowledged_after_a_power_cut_is_drained(
    tmp_path: Path, happened: Callable[[Path], None]
) -> None:
    journal = opened(tmp_path)
    journal.append([b"%d" % number * 20 for number in range(60)])
    drain(journal, tmp_path)
    journal.close()
    happened(tmp_path)
    for life in range(3):
        journal = opened(tmp_path)
        later = [b"life %d, %d" % (life, number) for number in range(40)]
        journal.append(later)
        drained = drain(journal, tmp_path)
        assert drained[-40:] == later
        assert (journal.backlog, journal.undrained()) == (0, None)
        journal.close()


@pytest.mark.parametrize("content", [
    b"", b"{", b"[]", b"null", b'{"segment": "x"}', b'{"segment":1,"offset":2}', b"\xff\x00",
    b'{"segment":1,"offset":2,"crc32":0}', b'{"segment":1e300,"offset":-5,"crc32":null}',
])  # fmt: skip
def test_a_checkpoint_that_cannot_be_trusted_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "checkpoint.json"
    path.write_bytes(content)
    assert Checkpoint(path).load() is None


@given(segment=st.integers(0, 2**40), offset=st.integers(0, 2**40), data=st.data())
def test_a_checkpoint_says_what_was_saved_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, segment: int, offset: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("c") / "checkpoint.json"
    Checkpoint(path).save(Position(segment, offset), durable=False)
    assert Checkpoint(path).load() == Position(segment, offset)
    raw = bytearray(path.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(raw)
    assert Checkpoint(path).load() in (None, Position(segment, offset))


def tampered(directory: Path, draw: Callable[[st.SearchStrategy[int]], int]) -> None:
    """One thing that power cuts and disks do, to one file."""
    numbers = segment_numbers(directory)
    what = draw(st.integers(0, 6))
    if what == 0 or not numbers:
        return
    path = segment_path(directory, numbers[draw(st.integers(0, len(numbers) - 1))])
    size = path.stat().st_size
    at = draw(st.integers(0, max(size - 1, 0)))
    if what == 1:
        os.truncate(path, at)
    elif what == 2:
        os.truncate(path, at)
        os.truncate(path, size)
    elif what == 3 and size:
        raw = bytearray(path.read_bytes())
        raw[at] ^= 1 << draw(st.integers(0, 7))
        path.write_bytes(raw)
    elif what == 4:
        path.unlink()
    elif what == 5:
        (directory / "checkpoint.json").write_bytes(b'{"segment":%d,"offset":%d}' % (at, at))
    elif what == 6:
        Checkpoint(directory / "checkpoint.json").save(
            Position(numbers[-1], 2 * BOUND + at), durable=False
        )


def whole(directory: Path, records: set[bytes]) -> set[bytes]:
    """Those whose bytes are on disk as they were written."""
    raw = b"|".join(segment_path(directory, n).read_bytes() for n in segment_numbers(directory))
    return {record for record in records if frame(record) in raw}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_happens_to_the_files_every_whole_record_is_drained(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    def draw(strategy: st.SearchStrategy[int]) -> int:
        return data.draw(strategy)

    directory = tmp_path_factory.mktemp("j")
    waiting: set[bytes] = set()
    drained: set[bytes] = set()
    for life in range(4):
        journal = opened(directory)
        for number in range(draw(st.integers(0, 12))):
            record = b"%d.%d:" % (life, number) + b"x" * draw(st.integers(0, 1500))
            journal.append([record])
            waiting.add(record)
        for _ in range(draw(st.integers(0, 3))):
            if (span := journal.undrained()) is not None:
                batch = first_between(directory, *span, draw(st.integers(1, 5)), lambda: None)
                journal.release(batch.position, len(batch.payloads), batch.damage)
                drained |= set(batch.payloads)
                waiting -= drained
        journal.close()
        tampered(directory, draw)
        waiting = whole(directory, waiting)
    journal = opened(directory)
    drained |= set(drain(journal, directory))
    assert waiting <= drained
    assert journal.backlog == 0
    journal.close()


@pytest.mark.parametrize("at", range(0, 300, 7))
def test_a_flipped_bit_costs_one_record(tmp_path: Path, at: int) -> None:
    tells, records = Tells(), [b"record %03d" % number for number in range(30)]
    journal = opened(tmp_path)
    journal.append(records)
    journal.close()
    raw = bytearray(newest(tmp_path).read_bytes())
    raw[at] ^= 16
    newest(tmp_path).write_bytes(raw)
    again = opened(tmp_path, tells)
    hit = records[at // len(frame(records[0]))]
    assert drain(again, tmp_path) == [record for record in records if record != hit]
    assert tells.kinds == ["damaged"]
    assert again.damage.copies() == 1
    again.close()


def old_frame(payload: bytes) -> bytes:
    return struct.pack("<II", len(payload), zlib.crc32(payload)) + payload


def test_segments_of_an_earlier_version_are_read_and_damage_in_them_costs_one_record(
    tmp_path: Path,
) -> None:
    records = [b'{"label": %d, "of": "%s"}' % (number, b"x" * 99) for number in range(20)]
    raw = bytearray(b"".join(map(old_frame, records)))
    raw[10 * len(raw) // 20 + 1] ^= 1
    tmp_path.mkdir(exist_ok=True)
    segment_path(tmp_path, 4).write_bytes(raw)
    (tmp_path / "checkpoint.json").write_bytes(b'{"segment":4,"offset":0}')
    journal = opened(tmp_path)
    journal.append([b"new"])
    assert drain(journal, tmp_path) == [*records[:10], *records[11:], b"new"]
    journal.close()


def test_text_of_a_caller_is_never_taken_for_a_record(tmp_path: Path) -> None:
    forged = old_frame(b'{"label": {"transaction_id": "another", "label": 1}}').decode("latin1")
    journal = opened(tmp_path)
    journal.append([b"first", f"a name {forged}".encode(), b"last"])
    journal.close()
    raw = bytearray(newest(tmp_path).read_bytes())
    raw[len(frame(b"first")) + 14] ^= 1
    newest(tmp_path).write_bytes(raw)
    again = opened(tmp_path)
    assert drain(again, tmp_path) == [b"first", b"last"]
    again.close()


@pytest.mark.parametrize(("gone", "left"), [
    (1, [b"05", b"06", b"07", b"08", b"09", b"10", b"11"]),
    (2, [b"00", b"01", b"02", b"03", b"04", b"10", b"11"]),
])  # fmt: skip
def test_a_missing_segment_is_told_and_the_others_are_drained(
    tmp_path: Path, gone: int, left: list[bytes]
) -> None:
    tells = Tells()
    journal = opened(tmp_path)
    for number in range(12):
        journal.append([b"%02d" % number + b"x" * 1000])
    journal.close()
    assert segment_numbers(tmp_path) == [1, 2, 3]
    segment_path(tmp_path, gone).unlink()
    again = opened(tmp_path, tells)
    assert [record[:2] for record in drain(again, tmp_path)] == left
    assert tells.kinds == ["missing"]
    again.close()


def test_a_segment_that_vanishes_while_it_runs_is_told_and_stops_nothing(tmp_path: Path) -> None:
    tells = Tells()
    journal = opened(tmp_path, tells)
    for number in range(6):
        journal.append([b"%02d" % number + b"x" * 1000])
    segment_path(tmp_path, 1).unlink()
    assert [record[:2] for record in drain(journal, tmp_path)] == [b"05"]
    assert (tells.kinds, journal.damage.missing, journal.backlog) == (["missing"], 5, 0)
    journal.close()


def test_damage_that_comes_while_it_runs_is_copied_before_the_segment_is_removed(
    tmp_path: Path,
) -> None:
    tells = Tells()
    journal = opened(tmp_path, tells)
    for number in range(6):
        journal.append([b"%02d" % number + b"x" * 1000])
    with segment_path(tmp_path, 1).open("r+b") as file:
        file.seek(1500)
        file.write(b"?")
    assert [r[:2] for r in drain(journal, tmp_path)] == [b"00", b"02", b"03", b"04", b"05"]
    assert segment_numbers(tmp_path) == [2]
    (kept,) = tmp_path.glob("*.damaged")
    assert b"01xxx" in kept.read_bytes()
    assert tells.kinds == ["damaged"]
    journal.close()


@pytest.mark.parametrize("number", [10**11, 10**12 - 1, 10**14, 10**15 - 1, 10**18 - 1, 10**30])
def test_a_file_with_the_name_of_a_far_segment_is_in_nobodys_way(
    tmp_path: Path, number: int
) -> None:
    journal = opened(tmp_path)
    journal.append([b"before"])
    journal.close()
    segment_path(tmp_path, number).write_bytes(b"somebody's")
    for life in range(3):
        journal = opened(tmp_path)
        journal.append([b"life %d" % life])
        journal.close()
    journal = opened(tmp_path)
    assert drain(journal, tmp_path) == [b"before", b"life 0", b"life 1", b"life 2"]
    assert journal.damage.missing <= 1
    journal.close()


def test_a_torn_tail_is_no_damage_and_is_told_as_what_it_is(tmp_path: Path) -> None:
    tells = Tells()
    journal = opened(tmp_path)
    journal.append([b"whole", b"torn"])
    journal.close()
    os.truncate(newest(tmp_path), newest(tmp_path).stat().st_size - 2)
    again = opened(tmp_path, tells)
    assert (drain(again, tmp_path), tells.kinds) == ([b"whole"], ["torn"])
    assert again.damage.copies() == 0
    again.close()


def test_a_segment_that_cannot_be_read_is_put_aside_and_drained_once_it_can(
    tmp_path: Path,
) -> None:
    tells = Tells()
    journal = opened(tmp_path)
    journal.append([b"before"])
    journal.close()
    kept = newest(tmp_path).read_bytes()
    newest(tmp_path).unlink()
    # Reading it is an input/output error, as of a bad sector.
    segment_path(tmp_path, 1).symlink_to("/proc/self/mem")
    journal = opened(tmp_path, tells)
    journal.append([b"meanwhile"])
    assert drain(journal, tmp_path) == [b"meanwhile"]
    journal.close()
    assert tells.kinds == ["unreadable"]
    (aside,) = tmp_path.glob("*.unreadable")
    aside.unlink()
    aside.write_bytes(kept)
    journal = opened(tmp_path)
    assert drain(journal, tmp_path) == [b"before"]
    assert journal.damage.copies() == 0
    journal.close()


def test_kills_leave_no_half_written_positions_behind(tmp_path: Path) -> None:
    (tmp_path / ".tmp-checkpoint.json-0123abcd").write_bytes(b"{")
    opened(tmp_path).close()
    assert not list(tmp_path.glob(".tmp-*"))
