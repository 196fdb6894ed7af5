"""What a worker holds: bounded under load, and what only its start needed goes back."""

from pathlib import Path

import httpx

from benchmarks.constant_model import bundle
from benchmarks.load import resident_mib
from benchmarks.services import Services
from benchmarks.serving_world import push
from native.linux import forget_code, give_back_freed

RESIDENT_MIB = 256
USERS, ROWS_A_BATCH, BATCHES = 1_000, 500, 8


def test_a_worker_stays_within_the_documented_bound_under_load(tmp_path: Path) -> None:
    with Services(tmp_path) as services:
        services.start_api()
        push(services.url, services.folder / "keys", bundle("1.0.0"))
        for number in range(BATCHES):
            rows = [row(number * ROWS_A_BATCH + at) for at in range(ROWS_A_BATCH)]
            answer = httpx.post(
                f"{services.url}/predict/batch", json={"instances": rows}, timeout=60
            )
            assert answer.is_success, answer.text
        httpx.post(f"{services.url}/api/analyze-transaction", json=row(-1)).raise_for_status()

        assert resident_mib(services.pid("api")) <= RESIDENT_MIB


def row(number: int) -> dict[str, object]:
    return {
        "transaction_id": f"t{number}",
        "user_id": f"u{number % USERS}",
        "merchant_id": f"m{number}",
        "amount": 10.0,
        "transaction_type": "purchase",
        "lat": 52.5,
        "lon": 13.4,
    }


def test_code_that_was_needed_once_goes_back_and_still_works() -> None:
    before = mapped_from_files_kib()

    forget_code()

    assert mapped_from_files_kib() < before / 2
    # what comes back is read from the file; what was written to had never left
    with httpx.Client() as client:
        assert client.build_request("GET", "http://127.0.0.1/").method == "GET"


def test_freed_blocks_between_those_in_use_go_back() -> None:
    blocks = [bytearray(60_000) for _ in range(4_000)]
    before = anonymous_kib()
    kept = blocks[::8]
    del blocks

    give_back_freed()

    assert len(kept) == 500
    assert anonymous_kib() < before - 100_000


def anonymous_kib() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous"))


def mapped_from_files_kib() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    said = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return said["Rss"] - said["Anonymous"]
