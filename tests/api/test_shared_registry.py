"""The parts of two APIs around one store, without their servers: each follows the others."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.models.refusals import NotServing, VersionNotNewer
from api.models.serving_state import Push
from api.registry.rollouts import ChangeRequest
from api.service import Service
from api.wiring import build_service
from shared.clock import SystemClock
from shared.contracts.rollouts import Mode
from shared.errors import SettingsError
from shared.storage.object_store import StoreAway
from tests.api.bundles import Signer
from tests.api.server import serve_settings
from tests.api.tiny import TinyUseCase
from tests.hosts.world import away
from tests.support.api_registries import NoSmoke


@dataclass
class Api:
    """One host; `look` is what its mirror and its watcher do all the time."""

    service: Service
    signer: Signer

    @property
    def version(self) -> str:
        return self.service.models.promoter.serving

    @property
    def fallback(self) -> str | None:
        fallback = self.service.models.slot.fallback
        return None if fallback is None else fallback.version

    def look(self) -> None:
        mirror = self.service.models.mirror
        assert mirror is not None
        mirror.look()
        self.service.models.promoter.catch_up()
        self.service.rollout_controller.catch_up()

    def push(self, version: str, mode: Mode = Mode.IMMEDIATE, **changes: Any) -> None:
        raw = self.signer.bundle(version, **changes)
        push = Push(raw, self.signer.sign(raw), None, "push")
        self.service.rollout_controller.push(push, mode)

    def roll_back(self, version: str | None = None, leaving: str | None = None) -> None:
        self.service.models.promoter.rollback(version, "a test", "operator", leaving=leaving)

    @property
    def owes(self) -> bool:
        assert self.service.models.share is not None
        return self.service.models.share.owes

    def trial(self) -> str | None:
        rollout = self.service.rollout_controller.rollout
        return None if rollout is None else f"{rollout.version} at {rollout.share_percent} %"


MakeApi = Callable[[str], Api]


@pytest.fixture
def make(template: Path, tmp_path: Path) -> MakeApi:
    """Hosts with the same keys, each with its own empty registry and database."""
    bucket = tmp_path / "bucket"

    def api(name: str) -> Api:
        folder = tmp_path / name
        if not folder.exists():
            shutil.copytree(template / "keys", folder / "keys")
        settings = serve_settings(folder, store_url=bucket.as_uri(), store_timeout_seconds=10)
        service = build_service(settings, TinyUseCase(), SystemClock(), smoke=NoSmoke())
        made = Api(service, Signer(folder / "keys"))
        made.service.models.promoter.restore()
        return made

    return api


def test_what_one_host_changes_the_others_follow(make: MakeApi) -> None:
    first, second = make("a"), make("b")
    first.push("1.0.0")
    second.look()
    second.push("1.0.1")
    first.look()
    assert (first.version, second.version) == ("1.0.1", "1.0.1")
    assert (first.fallback, second.fallback) == ("1.0.0", "1.0.0")
    first.roll_back()
    second.look()
    assert (second.version, second.fallback) == ("1.0.0", None)
    second.service.models.revoker.revoke("1.0.1", "poisoned", "operator")
    first.look()
    assert first.service.models.registry.ledger.is_revoked("1.0.1")
    third = make("c")
    assert (third.version, third.fallback) == ("1.0.0", None)


def test_a_host_that_was_late_is_refused_as_on_one_host(make: MakeApi) -> None:
    first, second = make("a"), make("b")
    first.push("1.0.0")
    with pytest.raises(VersionNotNewer, match=r"1\.0\.0 has been accepted before"):
        second.push("1.0.0", description="another bundle of the same number")
    first.push("1.0.1")
    second.look()
    second.push("1.0.2")
    # the breaker of a host that has not looked yet: its version does not serve any more
    with pytest.raises(NotServing):
        first.roll_back(leaving="1.0.1")
    first.look()
    assert first.version == "1.0.2"


def test_a_rollout_is_stepped_by_any_host_and_ends_on_all(make: MakeApi) -> None:
    first, second = make("a"), make("b")
    first.push("1.0.0")
    second.look()
    first.push("1.0.1", Mode.CANARY)
    second.look()
    assert second.trial() == first.trial() == "1.0.1 at 5 %"
    second.service.rollout_controller.advance(ChangeRequest("1.0.1", "a test", "push"))
    first.look()
    assert first.trial() == second.trial() == "1.0.1 at 10 %"
    first.service.rollout_controller.promote(ChangeRequest("1.0.1", "a test", "push"))
    second.look()
    assert (second.version, second.trial(), second.fallback) == ("1.0.1", None, "1.0.0")
    second.push("1.0.2", Mode.CANARY)
    first.look()
    first.service.rollout_controller.abort(ChangeRequest("1.0.2", "it alerts", "operator"))
    second.look()
    assert (second.trial(), second.version) == (None, "1.0.1")
    assert second.service.models.registry.ledger.was_left("1.0.2")


def test_without_the_store_a_host_goes_back_and_a_restart_keeps_it(
    make: MakeApi, tmp_path: Path
) -> None:
    first, second = make("a"), make("b")
    first.push("1.0.0")
    first.push("1.0.1")
    second.look()
    with away(tmp_path / "bucket"):
        first.look()
        first.roll_back()
        assert (first.version, first.owes) == ("1.0.0", True)
        with pytest.raises(StoreAway, match="is away"):
            first.push("1.0.2")
        second.look()
        assert second.version == "1.0.1"
    first.look()
    second.look()
    assert (second.version, first.owes) == ("1.0.0", False)


def test_a_trial_ends_without_the_store(make: MakeApi, tmp_path: Path) -> None:
    first, second = make("a"), make("b")
    first.push("1.0.0")
    first.push("1.0.1", Mode.CANARY)
    second.look()
    with away(tmp_path / "bucket"):
        second.service.rollout_controller.abort(ChangeRequest(None, "it alerts", "operator"))
        assert (second.trial(), second.owes) == (None, True)
    second.look()
    first.look()
    assert first.trial() is None


def test_a_bundle_that_this_host_does_not_trust_is_not_served(
    make: MakeApi, tmp_path: Path
) -> None:
    first, second = make("a"), make("b")
    first.push("1.0.0")
    second.look()
    for key in (tmp_path / "b" / "keys" / "trust").glob("*.pub"):
        key.unlink()
    first.push("1.0.1")
    second.look()
    assert second.version == "1.0.0"
    behind = second.service.models.promoter.behind
    assert behind is not None
    assert behind.version == "1.0.1"


def test_without_a_store_there_is_no_mirror_and_nothing_more_on_disk(
    template: Path, tmp_path: Path
) -> None:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    settings = serve_settings(tmp_path)
    service = build_service(settings, TinyUseCase(), SystemClock(), smoke=NoSmoke())
    service.models.promoter.restore()
    assert (service.models.share, service.models.mirror) == (None, None)
    assert not list(settings.prod_models_dir.glob(".store*"))


def test_a_prefix_of_another_use_case_ends_the_start(make: MakeApi, tmp_path: Path) -> None:
    make("a").push("1.0.0")
    state = tmp_path / "bucket" / "state.json"
    state.write_text(state.read_text().replace('"tiny"', '"churn"', 1))
    with pytest.raises(SettingsError, match="belongs to the use case 'churn'"):
        make("b")
