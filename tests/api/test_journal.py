import os
import resource
import signal
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.journal.frames import frame
from api.journal.journal import Journal, JournalFull
from shared.errors import SettingsError

BOUND = 64 * 1024


def opened(path: Path, max_bytes: int = BOUND) -> Journal:
    journal = Journal(path, max_bytes)
    journal.open()
    return journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = opened(tmp_path)
    yield made
    made.close()


def contents(journal: Journal) -> list[bytes]:
    return [payload for payload, _ in journal.read(1_000_000)]


def refuses(journal: Journal) -> bool:
    return journal.refusal is not None


def take(journal: Journal, count: int) -> list[bytes]:
    batch = journal.read(count)
    journal.release(batch[-1][1], len(batch))
    return [payload for payload, _ in batch]


def test_records_come_out_in_the_order_they_went_in(journal: Journal) -> None:
    journal.append([b"a", b"b"])
    journal.append([b"c"])
    assert take(journal, 2) == [b"a", b"b"]
    assert contents(journal) == [b"c"]
    assert journal.backlog == 1


def test_a_reopened_journal_goes_on_where_it_was(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append([b"a", b"b", b"c"])
    take(journal, 1)
    journal.close()
    again = opened(tmp_path)
    assert contents(again) == [b"b", b"c"]
    assert again.backlog == 2
    again.append([b"d"])
    assert contents(again) == [b"b", b"c", b"d"]
    again.close()


@pytest.mark.parametrize("cut", range(1, len(frame(b"torn"))))
def test_a_torn_tail_is_cut_off_wherever_it_is_torn(tmp_path: Path, cut: int) -> None:
    journal = opened(tmp_path)
    journal.append([b"whole", b"torn"])
    journal.close()
    (segment,) = tmp_path.glob("*.journal")
    os.truncate(segment, segment.stat().st_size - cut)
    again = opened(tmp_path)
    assert contents(again) == [b"whole"]
    again.append([b"next"])
    assert contents(again) == [b"whole", b"next"]
    again.close()


def test_a_damaged_record_costs_that_record_only_and_is_kept_beside_the_journal(
    tmp_path: Path,
) -> None:
    journal = opened(tmp_path)
    journal.append([b"good", b"damaged", b"behind"])
    journal.close()
    (segment,) = tmp_path.glob("*.journal")
    raw = bytearray(segment.read_bytes())
    raw[len(frame(b"good")) + len(frame(b"damaged")) - 1] ^= 1
    segment.write_bytes(raw)
    again = opened(tmp_path)
    assert contents(again) == [b"good", b"behind"]
    (kept,) = tmp_path.glob("*.damaged")
    assert kept.read_bytes()[:-1] == frame(b"damaged")[:-1]
    again.close()


def test_zeros_at_the_end_are_no_records(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append([b"good"])
    journal.close()
    (segment,) = tmp_path.glob("*.journal")
    with segment.open("ab") as file:
        file.write(bytes(4096))
    again = opened(tmp_path)
    assert contents(again) == [b"good"]
    again.close()


def test_the_bound_holds_and_space_comes_back_while_it_drains(journal: Journal) -> None:
    record = b"x" * 1000
    taken = BOUND // len(frame(record))
    for _ in range(taken):
        journal.append([record])
    with pytest.raises(JournalFull, match="65536 bytes wait"):
        journal.append([record])
    assert journal.bytes_used <= BOUND
    assert refuses(journal)
    take(journal, taken // 2)
    assert not refuses(journal)
    journal.append([record])
    assert len(contents(journal)) == taken - taken // 2 + 1


def test_a_batch_is_kept_as_a_whole_or_not_at_all(journal: Journal) -> None:
    journal.append([b"first"])
    with pytest.raises(JournalFull):
        journal.append([b"x" * 1000] * 100)
    assert contents(journal) == [b"first"]


def test_drained_segments_are_removed(journal: Journal, tmp_path: Path) -> None:
    for _ in range(40):
        journal.append([b"x" * 1000])
    assert len(list(tmp_path.glob("*.journal"))) > 5
    take(journal, 40)
    assert len(list(tmp_path.glob("*.journal"))) == 1
    assert journal.backlog == 0


def test_a_disk_that_takes_no_more_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    """A limit on the size of files makes real writes end in the middle, as a full disk does."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        # The captured output is a file too.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
        journal = opened(tmp_path, 16 * BOUND)
        journal.append([b"first"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))
        try:
            journal.append([b"a" * 100] * 100)
        except JournalFull:
            small = refuses(journal) and contents(journal) == [b"first"]
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            journal.append([b"second"])
            os._exit(0 if small and not refuses(journal) else 2)
        os._exit(3)
    assert os.waitpid(child, 0)[1] == 0
    again = opened(tmp_path, 16 * BOUND)
    assert contents(again) == [b"first", b"second"]
    again.close()


def test_a_second_process_cannot_write_to_the_same_journal(
    journal: Journal, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="JOURNAL_DIR"):
        Journal(tmp_path, BOUND).open()


def test_a_frame_is_mark_length_checksum_payload() -> None:
    checksum = zlib.crc32(b"abc", 3).to_bytes(4, "little")
    assert frame(b"abc") == b"\xfeUJ\xff\x03\x00\x00\x00" + checksum + b"abc"


def test_records_longer_than_what_is_read_at_once_come_out_whole(tmp_path: Path) -> None:
    journal = opened(tmp_path, 16 * 1024 * 1024)
    records = [bytes([number]) * 700_000 for number in range(1, 6)]
    journal.append(records)
    assert contents(journal) == records
    journal.close()
    assert contents(opened(tmp_path, 16 * 1024 * 1024)) == records


def test_drained_records_stay_no_longer_than_an_hour(tmp_path: Path) -> None:
    now = [0.0]
    journal = Journal(tmp_path, BOUND, clock=lambda: now[0])
    journal.open()
    journal.append([b"of a person"])
    take(journal, 1)
    assert any(b"of a person" in each.read_bytes() for each in tmp_path.glob("*.journal"))
    now[0] = 3_601.0
    journal.append([b"later"])
    take(journal, 1)
    assert not list(tmp_path.glob("*.journal"))
    journal.append([b"next"])
    journal.close()
    again = opened(tmp_path)
    assert contents(again) == [b"next"]
    again.close()
