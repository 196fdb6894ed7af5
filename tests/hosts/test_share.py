"""Registries of several hosts, and the store between them."""

import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from api.registry.audit import AuditReader
from api.registry.rollouts import Rollout, RolloutOutcome, Rollouts
from shared.contracts.rollouts import Mode
from shared.errors import SettingsError
from shared.storage.folder_store import FolderStore
from shared.storage.object_store import StoreAway, WriteConflict
from tests.hosts.world import Host, SteppedClock, away

RACERS, ROUNDS = 8, 10


@dataclass
class World:
    folder: Path
    clock: SteppedClock

    @property
    def bucket(self) -> Path:
        return self.folder / "bucket"

    def host(self, name: str) -> Host:
        return Host(name, self.folder, FolderStore(self.bucket), self.clock)

    def hosts(self, *versions: str) -> tuple[Host, Host]:
        """Two that agree on these versions, the last one live."""
        first, second = self.host("a"), self.host("b")
        first.share.sync()
        second.share.sync()
        for version in versions:
            first.push(version)
        second.share.sync()
        return first, second


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, SteppedClock())
    made.bucket.mkdir()
    return made


def test_a_push_to_one_host_is_on_the_disk_of_the_other_after_its_next_look(world: World) -> None:
    first, second = world.hosts("1.0.0")
    assert second.current == "1.0.0"
    first.push("1.0.1")
    assert second.share.sync()
    assert second.current == "1.0.1"
    assert second.registry.read("1.0.1") == first.registry.read("1.0.1")
    assert second.registry.content() == first.registry.content()
    assert not second.share.sync()
    [line, *_] = AuditReader(second.registry.audit_path).page(1).entries
    assert (line.what, line.version, line.details["host"]) == ("mirrored", "1.0.1", "a")


def test_a_fresh_host_gets_the_live_version_and_those_to_return_to(world: World) -> None:
    world.hosts(*(f"1.0.{number}" for number in range(13)))
    third = world.host("c")
    assert third.share.sync()
    assert third.current == "1.0.12"
    assert third.registry.open() == []
    assert third.registry.fallback_for("1.0.12") == "1.0.11"
    assert len(third.registry.stored()) == 10


def test_a_rollback_and_a_revocation_reach_every_host(world: World) -> None:
    first, second = world.hosts("1.0.0", "1.0.1", "1.0.2")
    second.roll_back("1.0.1")
    first.share.sync()
    assert first.current == "1.0.1"
    assert first.ledger.was_left("1.0.2")
    first.revoke("1.0.2")
    second.share.sync()
    assert second.ledger.is_revoked("1.0.2")
    assert not (second.registry.root / "versions" / "1.0.2").exists()


@pytest.mark.parametrize("name", ["version", "champion"])
def test_a_shared_state_whose_rollout_names_a_path_is_refused(world: World, name: str) -> None:
    first, second = world.hosts("1.0.0", "1.0.1")
    state = json.loads((world.bucket / "state.json").read_bytes())
    state["rollouts"]["current"] = {
        "mode": "canary", "version": "1.0.1", "champion": "1.0.0", "salt": "s", "share_percent": 5,
        "began_at_us": 1, "stage_since_us": 1, "who": "push", name: "../../../escaped",
    }  # fmt: skip
    (world.bucket / "state.json").write_text(json.dumps(state))
    for host in (first, second):
        with pytest.raises(StoreAway, match=rf"cannot be read \(rollouts.current.{name}"):
            host.share.sync()
        assert host.registry.content().rollouts.current is None


def test_objects_that_were_blown_up_are_not_read_into_memory(world: World) -> None:
    first, second = world.hosts("1.0.0", "1.0.1")
    # a hole: nothing of it is on the disk
    os.truncate(world.bucket / "state.json", 2**42)
    with pytest.raises(StoreAway, match=r"state.json has more than 67,108,864 bytes"):
        second.share.sync()
    assert second.current == "1.0.1"
    (world.bucket / "state.json").unlink()
    second.share.sync()
    [bundle] = (world.bucket / "bundles" / "1.0.0").glob("*.zip")
    os.truncate(bundle, 2**42)
    third = world.host("c")
    third.share.sync()
    third.registry.open()
    assert (third.current, third.registry.stored()) == ("1.0.1", {"1.0.1"})
    assert first.current == "1.0.1"


@pytest.mark.parametrize("lost", ["*.zip", "*.sig"])
def test_a_bundle_that_the_store_lost_is_written_again_by_a_host_that_has_it(
    world: World, lost: str
) -> None:
    first, _ = world.hosts("1.0.0", "1.0.1")
    for path in world.bucket.glob(f"bundles/*/{lost}"):
        path.unlink()
    [cut] = (world.bucket / "bundles" / "1.0.1").iterdir()
    os.truncate(cut, 1)
    first.share.tidy()
    assert cut.stat().st_size > 1
    third = world.host("c")
    third.share.sync()
    third.registry.open()
    assert (third.current, third.registry.stored()) == ("1.0.1", {"1.0.0", "1.0.1"})


def test_a_rollout_and_its_end_reach_every_host(world: World) -> None:
    first, second = world.hosts("1.0.0", "1.0.1")
    rollout = Rollout(
        mode=Mode.CANARY, version="1.0.2", champion="1.0.1", salt="s", share_percent=1,
        began_at_us=1, stage_since_us=1, who="push",
    )  # fmt: skip
    first.registry.refresh()
    first.registry.commit(first.registry.ledger, rollouts=Rollouts(current=rollout))
    second.share.sync()
    running = second.registry.content().rollouts
    assert running.current == rollout
    with away(world.bucket):
        ended = running.ended(RolloutOutcome.ABORTED, "it alerts", "operator", 2)
        second.registry.refresh()
        second.registry.commit(second.registry.ledger, rollouts=ended, may_be_owed=True)
        assert second.share.owes
    second.share.sync()
    first.share.sync()
    assert first.registry.content().rollouts == ended


def test_a_change_that_another_host_was_faster_with_leaves_no_trace(world: World) -> None:
    first, second = world.hosts("1.0.0")
    first.push("1.0.1")
    with pytest.raises(WriteConflict):
        second.push("1.0.1", b"another bundle of the same number")
    assert second.current == "1.0.0"
    assert "1.0.1" not in second.ledger.accepted
    second.share.sync()
    assert second.registry.read("1.0.1") == first.registry.read("1.0.1")


def test_of_hosts_that_push_at_once_exactly_one_wins_each_time(world: World) -> None:
    hosts = [world.host(f"host-{number}") for number in range(RACERS)]
    for round_ in range(ROUNDS):
        for host in hosts:
            host.share.sync()
        start = threading.Barrier(RACERS)

        def push(host: Host, number: int = round_, gate: threading.Barrier = start) -> bool:
            gate.wait()
            try:
                host.push(f"1.0.{number}")
            except WriteConflict:
                return False
            return True

        with ThreadPoolExecutor(RACERS) as pool:
            assert sum(pool.map(push, hosts)) == 1
    for host in hosts:
        host.share.sync()
    assert {host.current for host in hosts} == {f"1.0.{ROUNDS - 1}"}
    assert len({host.registry.content().ledger.model_dump_json() for host in hosts}) == 1


def test_without_the_store_a_host_rolls_back_and_pays_what_it_owes_later(world: World) -> None:
    first, second = world.hosts("1.0.0", "1.0.1")
    with away(world.bucket):
        second.roll_back("1.0.0")
        assert second.current == "1.0.0"
        with pytest.raises(StoreAway):
            second.share.sync()
        # a restart meanwhile serves what was decided
        second = world.host("b")
        assert (second.current, second.share.owes) == ("1.0.0", True)
        with pytest.raises(StoreAway, match="is away"):
            second.push("1.0.2")
    assert not first.share.sync()
    second.share.sync()
    assert not second.share.owes
    first.share.sync()
    assert first.current == second.current == "1.0.0"
    assert first.ledger.was_left("1.0.1")


def test_what_was_pushed_meanwhile_stays_live_and_what_was_left_stays_left(world: World) -> None:
    first, second = world.hosts("1.0.0", "1.0.1")
    with away(world.bucket):
        second.roll_back("1.0.0")
    first.push("1.0.2")
    second.share.sync()
    first.share.sync()
    assert first.current == second.current == "1.0.2"
    assert first.ledger.was_left("1.0.1")
    assert first.registry.content() == second.registry.content()
    first.registry.refresh()
    assert first.registry.fallback_for("1.0.2") == "1.0.0"


def test_a_version_that_was_left_comes_back_only_by_a_later_decision(world: World) -> None:
    first, second = world.hosts("1.0.0", "1.0.1")
    with away(world.bucket):
        second.roll_back("1.0.0")
    # an older record of the other host, written after it: it does not name another version
    first.registry.refresh()
    first.registry.save(first.registry.ledger.with_served_well("1.0.1", world.clock.now_us()))
    second.share.sync()
    first.share.sync()
    assert first.current == second.current == "1.0.0"
    first.roll_back("1.0.1", blamed=False)
    second.share.sync()
    assert first.current == second.current == "1.0.1"


def test_two_hosts_that_rolled_back_alone_agree(world: World) -> None:
    first, second = world.hosts("1.0.0", "1.0.1", "1.0.2")
    with away(world.bucket):
        first.roll_back("1.0.1")
        second.roll_back("1.0.1")
        second.roll_back("1.0.0")
    for host in (first, second, first):
        host.share.sync()
    assert first.current == second.current == "1.0.0"
    assert first.registry.content() == second.registry.content()


def test_what_a_bucket_holds_is_not_trusted(world: World) -> None:
    world.hosts("1.0.0", "1.0.1")
    [bundle] = (world.bucket / "bundles" / "1.0.1").glob("*.zip")
    bundle.write_bytes(b"something else")
    third = world.host("c")
    third.share.sync()
    third.registry.refresh()
    assert third.registry.stored() == {"1.0.0"}
    assert not (third.registry.root / "versions" / "1.0.1").exists()


def test_a_registry_from_before_the_store_becomes_the_shared_one(world: World) -> None:
    alone, _ = world.hosts("1.0.0", "1.0.1")
    shutil.rmtree(world.bucket)
    world.bucket.mkdir()
    (alone.registry.root / ".store.json").unlink()
    world.host("a").share.sync()
    fresh = world.host("z")
    fresh.share.sync()
    fresh.registry.refresh()
    assert (fresh.current, fresh.registry.stored()) == ("1.0.1", {"1.0.0", "1.0.1"})
    assert fresh.registry.read("1.0.0").raw == b"bundle 1.0.0 of a"


def test_a_store_of_another_use_case_is_refused_by_name(world: World) -> None:
    _, second = world.hosts("1.0.0")
    state = world.bucket / "state.json"
    state.write_text(state.read_text().replace('"tiny"', '"churn"', 1))
    with pytest.raises(SettingsError, match="belongs to the use case 'churn'"):
        world.host("c").share.sync(at_start=True)
    state.write_text("{")
    with pytest.raises(SettingsError, match=r"state\.json cannot be read"):
        world.host("d").share.sync(at_start=True)
    # what becomes unusable later does not stop a host that serves
    with pytest.raises(StoreAway, match=r"state\.json cannot be read"):
        second.share.sync()
    assert second.current == "1.0.0"


def test_bundles_that_no_state_names_are_removed_after_an_hour(world: World) -> None:
    first, _ = world.hosts("1.0.0")
    leftover = world.bucket / "bundles" / "9.9.9" / "abc.zip"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"of a push that lost")
    first.share.tidy()
    assert leftover.exists()
    world.clock.us = leftover.stat().st_mtime_ns // 1_000 + 2 * 3_600_000_000
    first.share.tidy()
    assert not leftover.exists()
    assert len(list((world.bucket / "bundles").rglob("*.zip"))) == 1
