"""Callers without a token may write only so much; those with one are not kept waiting by them."""

from pathlib import Path

import pytest

from api.http.access import BURST_SECONDS, WriteQuota
from api.http.problems import Problem
from api.settings import Settings
from shared.keys.tokens import Role
from shared.system.files import DiskSpace, disk_space
from tests.api.server import Running


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_burst_is_free_and_then_the_rate_holds() -> None:
    clock = Hand()
    quota = WriteQuota(2_000, 0, [], clock)
    rows = 0
    while not quota.is_spent:
        quota.check()
        quota.charge(b"{}")
        rows += 1
    assert rows == pytest.approx(BURST_SECONDS * 2, rel=0.01)
    with pytest.raises(Problem, match="retry in 1 s"):
        quota.check()
    clock.seconds += 1
    quota.check()
    assert not quota.is_spent


def test_a_batch_is_charged_for_each_of_its_rows() -> None:
    quota = WriteQuota(1_000, 0, [], Hand())
    quota.charge(b'{"instances":[%s]}' % b",".join([b'{"amount":1}'] * 1_000))
    assert quota.is_spent


def test_without_a_limit_nothing_is_refused(tmp_path: Path) -> None:
    quota = WriteQuota(0, 0, [tmp_path], Hand())
    for _ in range(10_000):
        quota.charge(bytes(10_000))
    quota.look()
    assert not quota.is_spent


@pytest.mark.parametrize(
    ("space", "is_low"),
    [
        (DiskSpace(10**12, 3 * 10**10), False),
        (DiskSpace(10**12, 10**10), True),
        (DiskSpace(10**9, 0), False),
        (None, False),
    ],
)
def test_the_reserve_is_a_fiftieth_of_a_disk_at_most_and_a_small_one_has_none(
    space: DiskSpace | None, is_low: bool
) -> None:
    quota = WriteQuota(0, 2**62, [Path("journal")], Hand(), lambda _: space)
    quota.look()
    assert quota.is_disk_low is is_low


def test_a_folder_that_is_not_there_has_no_known_space(tmp_path: Path) -> None:
    assert disk_space(tmp_path / "not there") is None
    space = disk_space(tmp_path)
    assert space is not None
    assert space.total_bytes > space.free_bytes


@pytest.mark.parametrize("query", ["", "?long"])
def test_who_wrote_too_much_is_told_when_to_come_again_and_a_token_still_scores(
    settings: Settings, query: str
) -> None:
    with Running(settings.model_copy(update={"anonymous_bytes_per_second": 100})) as server:
        path = f"/score{query}"
        statuses = [server.client.post(path, json={"amount": 1.0}).status_code for _ in range(80)]
        assert set(statuses) == {200, 429}
        assert statuses.index(429) >= 50
        refused = server.client.post("/score/batch", json={"instances": [{"amount": 1.0}]})
        assert refused.status_code == 429
        assert refused.json()["type"] == "urn:understudy:problem:too-many-requests"
        assert int(refused.headers["Retry-After"]) >= 1
        assert "understudy_anonymous_writes_refused 1.0" in server.client.get("/metrics").text
        headers = server.bearer(Role.SCORER)
        assert server.client.post(path, json={"amount": 1.0}, headers=headers).status_code == 200
