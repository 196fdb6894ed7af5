"""A scheduler on another disk compares with the champion all the same: the API has its bundle."""

import shutil
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry, generate_latest

from scheduler.cycle.candidates import CandidateStore
from scheduler.run_metrics import ChampionMetrics
from shared.bundle.version import Version
from shared.clock import MICROS_PER_DAY
from shared.keys.store import key_id, sign
from shared.tables.runs import Run, RunStatus
from tests.support.cycle_bench import CycleBench


@pytest.fixture
def elsewhere(bench: CycleBench) -> CycleBench:
    """1.0.0 serves; this scheduler has an empty disk, and the policy's age has passed."""
    bench.run()
    shutil.rmtree(bench.root / "retrained_models")
    bench.clock.move(100 * MICROS_PER_DAY)
    return bench


def metrics_verdict(run: Run) -> dict[str, object]:
    return next(one for one in run.verdicts if one["gate"] == "metrics")


def test_the_champion_of_another_disk_is_fetched_and_compared_with(elsewhere: CycleBench) -> None:
    run = elsewhere.run()

    assert run.decision["inputs"]["champion_scored"] is True
    assert metrics_verdict(run)["numbers"]["path"] == "compared"  # type: ignore[index]
    assert elsewhere.api.asked_for == ["1.0.0"]


def test_it_is_kept_among_the_candidates_with_its_signature(elsewhere: CycleBench) -> None:
    elsewhere.run()
    folder = elsewhere.root / "retrained_models" / "1.0.0"
    raw, signature = elsewhere.api.pushed[0]
    assert (folder / "bundle.zip").read_bytes() == raw
    assert (folder / "bundle.sig").read_text().strip() == signature
    elsewhere.api.gives_bundles = False
    elsewhere.clock.move(MICROS_PER_DAY)
    assert elsewhere.run().decision["inputs"]["champion_scored"] is True


def test_bytes_that_no_trusted_key_signed_are_not_taken(elsewhere: CycleBench) -> None:
    stranger = Ed25519PrivateKey.generate().public_key()
    elsewhere.context = replace(elsewhere.context, trusted=lambda: {key_id(stranger): stranger})
    run = elsewhere.run()

    assert (run.status, run.code) == (RunStatus.REFUSED, "metrics_inconclusive")
    assert "KEYS_DIR/trust has to hold the public key" in str(run.message)
    assert not (elsewhere.root / "retrained_models" / "1.0.0").exists()


def test_bytes_that_were_changed_on_the_way_are_not_taken(elsewhere: CycleBench) -> None:
    raw = elsewhere.api.pushed[0][0]
    elsewhere.api.damaged = raw[:-1] + bytes([raw[-1] ^ 1])
    run = elsewhere.run()
    assert run.code == "metrics_inconclusive"
    assert "signature" in str(run.message)


def test_another_signed_bundle_than_the_one_that_serves_is_not_taken(
    elsewhere: CycleBench,
) -> None:
    assert elsewhere.api.serving is not None
    elsewhere.api.serving = replace(elsewhere.api.serving, sha256="0" * 64)
    run = elsewhere.run()
    assert run.code == "metrics_inconclusive"
    assert "not the one that serves" in str(run.message)


def test_a_damaged_copy_here_is_made_up_for_and_left_alone(bench: CycleBench) -> None:
    bench.run()
    path = bench.root / "retrained_models" / "1.0.0" / "bundle.zip"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(raw)
    bench.clock.move(100 * MICROS_PER_DAY)

    assert bench.run().decision["inputs"]["champion_scored"] is True
    assert bench.context.candidates.bundle(Version.parse("1.0.0")) == bytes(raw)


def test_a_full_disk_costs_the_copy_and_not_the_comparison(elsewhere: CycleBench) -> None:
    class FullStore(CandidateStore):
        def save_bundle(self, version: Version, raw: bytes) -> None:
            if str(version) == "1.0.0":
                raise OSError(28, "No space left on device")
            super().save_bundle(version, raw)

    store = FullStore(elsewhere.root / "retrained_models", keep=3)
    elsewhere.context = replace(elsewhere.context, candidates=store)
    assert elsewhere.run().decision["inputs"]["champion_scored"] is True


def test_an_api_that_falls_silent_fails_the_run_and_leaves_the_champion(
    elsewhere: CycleBench,
) -> None:
    elsewhere.api.away = True
    assert elsewhere.run().code == "api_unavailable"


def test_a_champion_that_cannot_be_scored_and_a_policy_that_allows_it_are_figures(
    elsewhere: CycleBench,
) -> None:
    def told() -> str:
        registry = CollectorRegistry()
        policy = elsewhere.use_case.policy
        registry.register(ChampionMetrics(elsewhere.context.engine, policy))
        return generate_latest(registry).decode()

    assert "understudy_champion_unscorable 0.0" in told()
    assert "understudy_unscorable_champion_allowed 0.0" in told()
    elsewhere.api.gives_bundles = False
    elsewhere.use_case.policy = replace(elsewhere.use_case.policy, allow_unscorable_champion=True)
    elsewhere.run()
    assert "understudy_champion_unscorable 1.0" in told()
    assert "understudy_unscorable_champion_allowed 1.0" in told()
    elsewhere.run()
    assert "understudy_champion_unscorable 0.0" in told()


def test_the_same_key_signs_the_second_champion(elsewhere: CycleBench) -> None:
    """What was fetched is pushed over like any other: a signature made here is taken."""
    run = elsewhere.run()
    raw, signature = elsewhere.api.pushed[-1]
    assert signature == sign(raw, elsewhere.private_key)
    assert run.champion_version == "1.0.0"
