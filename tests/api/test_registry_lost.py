"""Files of the registry that are missing, empty, damaged or unusual: nothing accepted is lost."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from api.registry.history import audit_lines, retold
from api.registry.ledger import Ledger, LedgerFile
from api.registry.registry import Registry
from api.settings import Settings
from tests.api.bundles import Signer, install
from tests.api.server import Running, serve_settings
from tests.support.api_pushes import audit

Spoil = Callable[[Path], object]
STRANGE: dict[str, dict[str, object]] = {
    "no version": {"banana": {"version": "banana"}},
    "no number": {"1.0.7": {"version": "1.0.7", "accepted_at_us": "yesterday"}},
    "end of time": {
        "1.0.7": {"version": "1.0.7", "sha256": "", "key_id": "", "accepted_at_us": 10**30}
    },
    "other name": {"1.0.7": {"version": "1.0.8", "sha256": "", "key_id": "", "accepted_at_us": 1}},
    "nothing": {"1.0.7": None},
}


def overwrite(text: str | bytes) -> Spoil:
    raw = text.encode() if isinstance(text, str) else text
    return lambda path: path.write_bytes(raw)


def becomes_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


LOST: dict[str, Spoil] = {
    "missing": Path.unlink,
    "empty": overwrite(""),
    "zeros": overwrite(bytes(300)),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "a list": overwrite("[]"),
    "without entries": overwrite('{"accepted": {}}'),
    "null": overwrite("null"),
    "a folder": becomes_a_folder,
}


@pytest.fixture(scope="module")
def three_made(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1.0.0, then 1.0.1, then 1.0.2 serves, and 1.0.1 was rolled back from: made once."""
    folder = tmp_path_factory.mktemp("three") / "made"
    shutil.copytree(template, folder)
    made = serve_settings(folder)
    signer = Signer(made.keys_dir)
    with Running(made) as server:
        assert server.push(signer.bundle("1.0.1"), signer).status_code == 200
        assert server.rollback("it was bad").status_code == 200
        headers = {"X-Fencing-Number": "7"}
        assert server.push(signer.bundle("1.0.2"), signer, **headers).status_code == 200
    return folder


@pytest.fixture
def three(three_made: Path, tmp_path: Path) -> Settings:
    shutil.copytree(three_made, tmp_path, dirs_exist_ok=True)
    return serve_settings(tmp_path)


@pytest.fixture
def signer(three_made: Path) -> Signer:
    return Signer(serve_settings(three_made).keys_dir)


def versions_on_disk(settings: Settings) -> set[str]:
    return {path.name for path in (settings.prod_models_dir / "versions").iterdir()}


@pytest.mark.parametrize("how", LOST)
def test_without_a_whole_ledger_every_version_is_kept_and_a_rollback_knows_where_to_go(
    three: Settings, signer: Signer, how: str
) -> None:
    LOST[how](three.prod_models_dir / "ledger.json")
    with Running(three) as server:
        assert server.client.get("/current_model").json()["version"] == "1.0.2"
        assert versions_on_disk(three) == {"1.0.0", "1.0.1", "1.0.2"}
        states = {m["version"]: m["state"] for m in server.client.get("/models").json()["models"]}
        assert states == {"1.0.2": "serving", "1.0.1": "rolled-back", "1.0.0": "fallback"}
        assert server.push(signer.bundle("1.0.1"), signer).status_code == 409
        stale = server.push(signer.bundle("1.0.3"), signer, **{"X-Fencing-Number": "6"})
        assert stale.json()["type"] == "urn:understudy:problem:stale-fencing-number"
        assert server.rollback().json()["version"] == "1.0.0"
    assert "ledger-rebuilt" in [line["what"] for line in audit(three)]
    # The next start finds a whole one.
    with Running(three) as server:
        assert server.client.get("/current_model").json()["version"] == "1.0.0"
    assert [line["what"] for line in audit(three)].count("ledger-rebuilt") == 1


def test_an_old_copy_of_the_ledger_is_completed_from_the_audit_trail(
    three: Settings, signer: Signer
) -> None:
    path = three.prod_models_dir / "ledger.json"
    content: dict[str, Any] = json.loads(path.read_text())
    content["accepted"] = {"1.0.0": content["accepted"]["1.0.0"]}
    content["activations"] = content["activations"][:1]
    path.write_text(json.dumps(content))
    with Running(three) as server:
        assert server.client.get("/current_model").json()["version"] == "1.0.2"
        states = {m["version"]: m["state"] for m in server.client.get("/models").json()["models"]}
        assert states == {"1.0.2": "serving", "1.0.1": "rolled-back", "1.0.0": "fallback"}
        assert server.push(signer.bundle("1.0.1"), signer).status_code == 409


@pytest.mark.parametrize("descriptions", ["whole", "damaged"])
def test_with_ledger_and_audit_both_lost_what_is_on_disk_is_kept_and_served(
    three: Settings, signer: Signer, descriptions: str
) -> None:
    (three.prod_models_dir / "ledger.json").unlink()
    (three.prod_models_dir / "audit.jsonl").unlink()
    if descriptions == "damaged":
        for path in three.prod_models_dir.glob("versions/*/meta.json"):
            path.write_text("{")
    with Running(three) as server:
        assert server.client.get("/current_model").json()["version"] == "1.0.2"
        assert server.push(signer.bundle("1.0.2"), signer).status_code == 409
        assert server.push(signer.bundle("1.0.3"), signer).status_code == 200
        assert server.rollback().json()["version"] == "1.0.2"
    assert versions_on_disk(three) == {"1.0.0", "1.0.1", "1.0.2", "1.0.3"}


@pytest.mark.parametrize("entry", STRANGE)
@pytest.mark.parametrize("place", ["accepted", "activations"])
def test_a_strange_entry_neither_stops_the_start_nor_answers_500(
    three: Settings, signer: Signer, entry: str, place: str
) -> None:
    path = three.prod_models_dir / "ledger.json"
    content: dict[str, Any] = json.loads(path.read_text())
    if place == "accepted":
        content["accepted"] |= STRANGE[entry]
    else:
        content["activations"] += [*STRANGE[entry].values(), "1.0.0", 7]
    path.write_text(json.dumps(content))
    with Running(three) as server:
        assert server.client.get("/models").status_code == 200
        assert server.client.get("/current_model").json()["version"] == "1.0.2"
        assert server.push(signer.bundle("1.0.9"), signer).status_code == 200
        assert server.rollback().json()["version"] == "1.0.2"
    kept = list(three.prod_models_dir.glob("ledger.json.damaged-*"))
    assert len(kept) == 1


def test_a_strange_ledger_while_running_changes_nothing(three: Settings, signer: Signer) -> None:
    with Running(three) as server:
        for spoil in (overwrite('{"accepted": {"banana": {}}}'), Path.unlink):
            spoil(three.prod_models_dir / "ledger.json")
            assert server.client.get("/models").status_code == 200
            assert server.score(amount=1.0).json()["version"] == "1.0.2"
        assert server.push(signer.bundle("1.0.3"), signer).status_code == 200
        assert server.rollback().json()["version"] == "1.0.2"
    assert set(Registry(three.prod_models_dir).root.glob("versions/*/bundle.zip"))


def test_a_missing_pointer_leads_to_what_served_last_and_is_written_again(
    three: Settings, signer: Signer
) -> None:
    with Running(three) as server:
        assert server.rollback().json()["version"] == "1.0.0"
        assert server.push(signer.bundle("1.0.3"), signer).status_code == 200
        assert server.rollback(version="1.0.0").json()["version"] == "1.0.0"
    (three.prod_models_dir / "current_version.txt").unlink()
    with Running(three) as server:
        assert server.client.get("/current_model").json()["version"] == "1.0.0"
    assert (three.prod_models_dir / "current_version.txt").read_text() == "1.0.0\n"
    assert audit(three)[-1]["what"] == "pointer-restored"


def test_a_version_that_nobody_accepted_is_left_alone_and_not_served(
    three: Settings, signer: Signer
) -> None:
    versions = three.prod_models_dir / "versions"
    shutil.copytree(versions / "1.0.2", versions / "1.0.7")
    (versions / "1.0.8").write_text("a file")
    (versions / "1.0.9").mkdir()
    with Running(three) as server:
        assert server.client.get("/current_model").json()["version"] == "1.0.2"
        answer = server.rollback(version="1.0.7")
        assert (answer.status_code, answer.json()["known_versions"]) == (
            404, ["1.0.2", "1.0.1", "1.0.0"],
        )  # fmt: skip
        # The place is taken by a real one when it comes.
        assert server.push(signer.bundle("1.0.7"), signer).status_code == 200
        assert server.score(amount=1.0).json()["version"] == "1.0.7"


def test_a_bundle_under_another_versions_name_is_not_served(
    three: Settings, signer: Signer
) -> None:
    versions = three.prod_models_dir / "versions"
    shutil.rmtree(versions / "1.0.2")
    shutil.copytree(versions / "1.0.1", versions / "1.0.2")
    for name in ("ledger.json", "audit.jsonl"):
        (three.prod_models_dir / name).unlink()
    with Running(three) as server:
        assert server.client.get("/current_model").json()["version"] != "1.0.2"


def test_a_leftover_that_cannot_be_removed_does_not_stop_the_start(three: Settings) -> None:
    (three.prod_models_dir / "revoked").write_text("a file where a folder should be")
    (three.prod_models_dir / "rollout.json").mkdir()
    with Running(three) as server:
        assert server.score(amount=1.0).json()["version"] == "1.0.2"


def test_an_empty_registry_starts_without_a_word_in_the_trail(running: Running) -> None:
    assert running.client.get("/models").json() == {"models": []}
    assert not (running.settings.prod_models_dir / "audit.jsonl").exists()


@given(raw=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_in_the_ledger_are_read_without_an_error(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "ledger.json"
    path.write_bytes(raw)
    assert isinstance(LedgerFile(path).salvaged().ledger, Ledger)


@given(
    lines=st.lists(
        st.dictionaries(
            st.sampled_from(["what", "at", "version", "previous", "sha256", "why", "blamed"]),
            st.one_of(
                st.sampled_from(["promotion", "rollback", "revocation", "1.0.0", "1.0.1"]),
                st.just("2026-11-27T10:00:00Z"), st.integers(), st.none(), st.booleans(),
            ),
        ),
        max_size=12,
    )
)  # fmt: skip
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_lines_of_the_trail_are_retold_without_an_error(
    tmp_path: Path, lines: list[dict[str, Any]]
) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ledger = retold(Ledger(), audit_lines(path))
    assert set(ledger.accepted) <= {"1.0.0", "1.0.1"}


def test_pruning_never_removes_what_served_last_or_served_well(
    settings: Settings,
) -> None:
    install(settings, Signer(settings.keys_dir), *(f"1.0.{number}" for number in range(1, 12)))
    registry = Registry(settings.prod_models_dir)
    registry.open()
    ledger = registry.ledger.with_activation("1.0.0", 10).with_served_well("1.0.0", 20)
    for number in range(3, 12):
        version = f"1.0.{number}"
        ledger = ledger.with_activation(version, 30).with_rollback(version, "bad", 40)
    registry.save(ledger.with_activation("1.0.1", 50))
    registry.prune(set())
    assert {"1.0.0", "1.0.1", "1.0.2"} <= registry.stored()
    registry.save(registry.ledger.with_activation("1.0.11", 60))
    registry.prune(set())
    assert {"1.0.0", "1.0.1", "1.0.11"} <= registry.stored()
