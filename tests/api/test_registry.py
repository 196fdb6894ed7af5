import pytest

from api.models.serving_state import Push
from api.registry.ledger import Acceptance, Ledger
from api.registry.registry import Registry
from api.settings import Settings
from tests.api.bundles import Signer, install
from tests.api.server import Running
from tests.support.api_registries import promoter_of


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


def test_what_is_no_version_is_left_alone(settings: Settings) -> None:
    stranger = settings.prod_models_dir / "versions" / "my notes"
    stranger.mkdir()
    (stranger / "bundle.zip").write_text("mine")
    registry = Registry(settings.prod_models_dir)
    registry.open()
    assert registry.stored() == {"1.0.0"}
    assert stranger.exists()


def test_a_promotion_that_cannot_be_recorded_leaves_the_old_version_on_disk_and_in_service(
    settings: Settings, signer: Signer
) -> None:
    promoter = promoter_of(settings)
    ledger = settings.prod_models_dir / "ledger.json"
    ledger.unlink()
    ledger.mkdir()
    raw = signer.bundle("1.0.1")
    with pytest.raises(OSError, match="directory"):
        promoter.push(Push(raw, signer.sign(raw), None, "test"))
    assert promoter.serving == "1.0.0"
    assert Registry(settings.prod_models_dir).current() == "1.0.0"


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
