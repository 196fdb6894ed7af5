"""The registry is cut at every instant of a promotion by a process that really dies there."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from api.registry.ledger import Acceptance, Ledger
from api.registry.registry import Registry
from api.settings import Settings
from tests.api.bundles import Signer, install
from tests.api.server import Running

def killed_while_promoting(settings: Settings, version: str, step: int) -> bool:
    """Promote in a child that kills itself before its n-th write; False: it came through."""
    child = subprocess.run(
        [sys.executable, "-m", "tests.api.cut_promotion",
         str(settings.prod_models_dir.parent), version, str(step)],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())}, check=False, capture_output=True,
    )  # fmt: skip
    assert child.returncode in (0, -signal.SIGKILL), child.stderr.decode()
    return child.returncode != 0


def test_a_promotion_cut_at_any_write_leaves_the_old_or_the_new_version(
    settings: Settings, signer: Signer
) -> None:
    steps = 0
    version = 1
    while killed_while_promoting(settings, f"1.0.{version}", steps):
        before = Registry(settings.prod_models_dir).current()
        with Running(settings) as server:
            served = server.client.get("/current_model").json()["version"]
            assert served == before
            assert served in ("1.0.0", f"1.0.{version}")
            # What was not accepted can be pushed again, what was accepted is known.
            again = server.push(signer.bundle(f"1.0.{version}"), signer)
            assert again.status_code == (409 if served == f"1.0.{version}" else 200)
            server.rollback(version="1.0.0")
        steps += 1
        version += 1
    assert steps >= 6


def test_leftovers_of_a_killed_write_are_removed(settings: Settings) -> None:
    versions = settings.prod_models_dir / "versions"
    (versions / ".tmp-1.0.1-abcd").mkdir()
    (settings.prod_models_dir / ".tmp-ledger.json-abcd").write_text("half")
    Registry(settings.prod_models_dir).open()
    assert [path.name for path in versions.iterdir()] == ["1.0.0"]
    assert not list(settings.prod_models_dir.glob(".tmp-*"))


@pytest.mark.parametrize("pointer", [None, "", "1.0", "../../etc/passwd", "7.7.7"])
def test_a_spoilt_pointer_leads_to_the_newest_version_that_was_accepted(
    settings: Settings, signer: Signer, pointer: str | None
) -> None:
    install(settings, signer, "1.0.1")
    path = settings.prod_models_dir / "current_version.txt"
    path.unlink() if pointer is None else path.write_text(pointer)
    with Running(settings) as server:
        assert server.client.get("/current_model").json()["version"] == "1.0.1"


def test_a_spoilt_bundle_is_not_served_and_the_one_before_it_is(
    settings: Settings, signer: Signer
) -> None:
    install(settings, signer, "1.0.1")
    path = settings.prod_models_dir / "versions" / "1.0.1" / "bundle.zip"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with Running(settings) as server:
        assert server.client.get("/current_model").json()["version"] == "1.0.0"


def test_without_a_ledger_what_is_on_disk_still_counts_as_accepted(
    settings: Settings, signer: Signer
) -> None:
    (settings.prod_models_dir / "ledger.json").write_text("{")
    with Running(settings) as server:
        assert server.push(signer.bundle("1.0.0"), signer).status_code == 409


def accepted(version: str) -> Acceptance:
    return Acceptance(version=version, sha256="", key_id="", accepted_at_us=0)


def ledger(*served: str) -> Ledger:
    made = Ledger()
    for version in served:
        made = made.with_accepted(accepted(version), None).with_activation(version, 0)
    return made


def test_the_fallback_is_what_was_served_before_not_what_is_numbered_before() -> None:
    made = ledger("1.0.0", "1.0.1", "1.0.2").with_activation("1.0.0", 1).with_activation("1.0.2", 2)
    assert made.fallback_for("1.0.2", {"1.0.0", "1.0.1", "1.0.2"}) == "1.0.0"
    assert made.fallback_for("1.0.2", {"1.0.1", "1.0.2"}) == "1.0.1"
    assert made.fallback_for("1.0.2", {"1.0.2"}) is None


def test_versions_are_ordered_as_numbers() -> None:
    assert str(ledger("1.0.9", "1.0.10").newest) == "1.0.10"
