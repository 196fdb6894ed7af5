import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.registry.audit import FIRST, AuditTrail, broken_lines
from shared.clock import SystemClock
from shared.keys.tokens import Role
from tests.api.bundles import Signer
from tests.api.server import Running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A trail of five lines, written by several who had it open."""
    found = tmp_path / "audit.jsonl"
    for number in range(5):
        AuditTrail(found, SystemClock()).write("change", "test", f"why {number}\u2028")
    return found


def test_a_trail_that_was_only_written_to_holds_together(path: Path) -> None:
    assert broken_lines(path.read_bytes()) == []
    first, *_ = path.read_text().splitlines()
    assert json.loads(first)["before"] == FIRST


def test_lines_written_at_once_are_one_chain(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(40):
            pool.submit(AuditTrail(path, SystemClock()).write, "change", "test", str(number))
    assert len(path.read_bytes().splitlines()) == 45
    assert broken_lines(path.read_bytes()) == []


def test_a_line_that_a_kill_left_unfinished_is_no_tampering_and_replacing_one_is(
    path: Path,
) -> None:
    with path.open("ab") as file:
        file.write(b'{"at": "20')
    assert broken_lines(path.read_bytes()) == []
    AuditTrail(path, SystemClock()).write("change", "test", "after the restart")
    raw = path.read_bytes()
    assert json.loads(raw.splitlines()[-1])["why"] == "after the restart"
    assert broken_lines(raw) == []
    lines = raw.splitlines()
    assert broken_lines(b"\n".join([*lines[:3], b"unfinished", *lines[4:]])) == [5]


@pytest.mark.parametrize(
    ("forge", "found"),
    [
        (lambda lines: [*lines[:2], lines[2].replace(b"why 2", b"why 9"), *lines[3:]], [4]),
        (lambda lines: [*lines[:2], *lines[3:]], [3]),
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], [3]),
        (lambda lines: [lines[1], lines[0], *lines[2:]], [1, 2, 3]),
        (lambda lines: [*lines[:3], b"{}", *lines[3:]], [4, 5]),
        (lambda lines: lines[1:], [1]),
    ],
    ids=["changed", "removed", "repeated", "swapped", "put between", "beginning cut off"],
)
def test_a_trail_that_was_tampered_with_shows_where(
    path: Path, forge: object, found: list[int]
) -> None:
    lines = forge(path.read_bytes().splitlines())  # type: ignore[operator]
    assert broken_lines(b"\n".join(lines) + b"\n") == found


def test_who_changed_what_is_served_when_and_why_is_written_down(
    serving: Running, signer: Signer
) -> None:
    serving.push(signer.bundle("1.0.1"), signer)
    serving.push(b"nonsense", signer)
    serving.rollback("blocks too much")
    headers = serving.bearer(Role.OPERATOR)
    serving.client.post(
        "/revoke_model", headers=headers, json={"version": "1.0.1", "reason": "bad"}
    )
    raw = (serving.settings.prod_models_dir / "audit.jsonl").read_bytes()
    told = [json.loads(line) for line in raw.splitlines()]
    assert [(line["what"], line["who"], line["why"]) for line in told] == [
        ("promotion", "push", "tiny 1.0.1"),
        ("push-refused", "push", told[1]["why"]),
        ("rollback", "operator", "blocks too much"),
        ("revocation", "operator", "bad"),
    ]
    assert all(line["at"].endswith("Z") for line in told)
    assert broken_lines(raw) == []
