"""A running service is backed up, lost and restored, and answers as before."""

import shutil
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from api.registry.audit import broken_lines
from api.settings import Settings
from shared.clock import to_micros
from shared.keys.tokens import Role
from shared.tables.engine import connect
from tests.api.bundles import Signer
from tests.api.server import Running, serve_settings, wait_until
from tests.api.tiny import stored_rows
from tests.support.instances import instance_in, instance_of
from understudy.backup.archive import ArchiveRefused, opened
from understudy.backup.create import make_backup
from understudy.backup.restore import restore


@pytest.fixture
def away(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside of every instance."""
    return tmp_path_factory.mktemp("away")


def decisions_of(settings: Settings) -> dict[str, Any]:
    engine = connect(settings.database_url.get_secret_value())
    rows = stored_rows(engine)
    engine.dispose()
    return {row["transaction_id"]: row["score"] for row in rows}


def test_what_was_acknowledged_before_the_recovery_point_is_restored_while_rows_keep_coming(
    settings: Settings, away: Path
) -> None:
    acknowledged: dict[str, int] = {}
    stopping = threading.Event()

    def send(server: Running) -> None:
        number = 0
        while not stopping.is_set():
            name = f"r-{number}"
            assert server.score(amount=float(number % 7), transaction_id=name).status_code == 200
            acknowledged[name] = server.service.clock.now_us()
            number += 1

    with Running(settings) as server:
        sender = threading.Thread(target=send, args=(server,))
        sender.start()
        wait_until(lambda: len(acknowledged) > 30)
        made = make_backup(instance_of(settings), away / "one.backup", away / "one.keys")
        seen = len(acknowledged)
        wait_until(lambda: len(acknowledged) > seen + 5)
        stopping.set()
        sender.join()
    point_us = to_micros_of(made.manifest.recovery_point)
    there = away / "again"
    done = restore(instance_in(there), away / "one.backup", away / "one.keys", force=False)
    assert (done.aside, done.manifest.live_version) == (None, "1.0.0")
    with Running(serve_settings(there)) as server:
        assert server.client.get("/current_model").json()["version"] == "1.0.0"
        server.drained()
        restored = decisions_of(server.settings)
        safe = {name for name, at_us in acknowledged.items() if at_us < point_us}
        assert len(safe) > 30
        assert safe <= set(restored)
        # a retry is answered from what was decided then
        again = server.score(amount=3.0, transaction_id="r-3").json()
        assert again["probability"] == restored["r-3"]


def to_micros_of(instant: str) -> int:
    return to_micros(datetime.fromisoformat(instant))


def test_decisions_that_wait_for_the_database_are_restored_from_the_journal(
    settings: Settings, away: Path
) -> None:
    slow = settings.model_copy(update={"journal_drain_seconds": 60.0})
    with Running(slow) as server:
        for number in range(20):
            assert server.score(amount=1.0, transaction_id=f"w-{number}").status_code == 200
        assert server.service.journaling.journal.backlog > 0
        make_backup(instance_of(settings), away / "one.backup", away / "one.keys")
    there = away / "again"
    restore(instance_in(there), away / "one.backup", away / "one.keys", force=False)
    with Running(serve_settings(there)) as server:
        server.drained()
        assert {f"w-{number}" for number in range(20)} <= set(decisions_of(server.settings))
        assert server.service.journaling.journal.damage.missing == 0


def test_keys_and_tokens_are_never_in_the_main_archive(settings: Settings, away: Path) -> None:
    make_backup(instance_of(settings), away / "one.backup", away / "one.keys")
    with opened(away / "one.backup", "instance") as archive:
        assert {member.path.split("/")[0] for member in archive.manifest.files} == {
            "database",
            "registry",
        }
    with opened(away / "one.keys", "keys") as archive:
        names = {member.path for member in archive.manifest.files}
    assert {"keys/signing/ed25519.pem", "keys/api/operator.token"} <= names
    assert (away / "one.keys").stat().st_mode & 0o077 == 0
    assert (away / "one.backup").stat().st_mode & 0o077 == 0


def test_versions_whose_key_is_not_there_are_not_restored(settings: Settings, away: Path) -> None:
    make_backup(instance_of(settings), away / "one.backup", None)
    with pytest.raises(ArchiveRefused, match="--keys"):
        restore(instance_in(away / "again"), away / "one.backup", None, force=False)
    assert not (away / "again").exists()
    # where the keys are kept by other means they need no archive
    shutil.copytree(settings.keys_dir, away / "again" / "keys")
    restore(instance_in(away / "again"), away / "one.backup", None, force=False)


def test_data_that_is_there_is_named_and_kept_unless_it_is_forced_aside(
    settings: Settings, signer: Signer, away: Path
) -> None:
    here = instance_of(settings)
    make_backup(here, away / "one.backup", away / "one.keys")
    with Running(settings) as server:
        assert server.push(signer.bundle("1.0.1"), signer).status_code == 200
        with pytest.raises(ArchiveRefused, match="a scoring service runs"):
            restore(here, away / "one.backup", away / "one.keys", force=True)
    with pytest.raises(ArchiveRefused, match=r"understudy\.db.*prod_models.*--force"):
        restore(here, away / "one.backup", away / "one.keys", force=False)
    assert (here.prod_models_dir / "current_version.txt").read_text().strip() == "1.0.1"
    done = restore(here, away / "one.backup", away / "one.keys", force=True)
    assert done.aside is not None
    kept = here.prod_models_dir / done.aside
    assert (kept / "current_version.txt").read_text().strip() == "1.0.1"
    assert (here.keys_dir.parent / done.aside / "understudy.db").is_file()
    with Running(settings) as server:
        assert server.client.get("/current_model").json()["version"] == "1.0.0"
        assert server.push(signer.bundle("1.0.1"), signer).status_code == 200
    trail = (here.prod_models_dir / "audit.jsonl").read_bytes()
    assert b'"restore"' in trail
    assert broken_lines(trail) == []


def test_a_version_that_a_worker_runs_at_that_moment_is_not_restored_as_a_crash(
    settings: Settings, away: Path
) -> None:
    with Running(settings) as server:
        server.score(amount=1.0)
        assert list((settings.prod_models_dir / "crashes").glob("worker-*"))
        make_backup(instance_of(settings), away / "one.backup", away / "one.keys")
    restore(instance_in(away / "again"), away / "one.backup", away / "one.keys", force=False)
    assert not list((away / "again" / "prod_models" / "crashes").glob("worker-*"))


def test_a_version_that_was_revoked_after_the_backup_stays_revoked(
    settings: Settings, signer: Signer, away: Path
) -> None:
    here = instance_of(settings)
    with Running(settings) as server:
        assert server.push(signer.bundle("1.0.1"), signer).status_code == 200
        make_backup(here, away / "one.backup", away / "one.keys")
        revoked = server.client.post(
            "/revoke_model",
            json={"version": "1.0.1", "reason": "a test"},
            headers=server.bearer(Role.OPERATOR),
        )
        assert revoked.status_code == 200, revoked.text
    restore(here, away / "one.backup", away / "one.keys", force=True)
    with Running(settings) as server:
        assert server.client.get("/current_model").json()["version"] == "1.0.0"
