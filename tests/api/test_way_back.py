"""The target of a rollback, the roles that may order one, and manual changes of the pointer."""

import time
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.problems import Problem
from api.models.refusals import NotServing
from api.registry.ledger import Acceptance, Ending, Ledger
from api.registry.registry import Registry
from api.routes.changes import MAX_WAIT_SECONDS, Order
from api.settings import Settings
from shared.keys.tokens import Role
from tests.api.bundles import Signer, install
from tests.api.server import Running, wait_until
from tests.support.api_pushes import audit
from tests.support.api_workers import worker

pytestmark = pytest.mark.slow

VERSIONS = ("1.0.0", "1.0.1", "1.0.2", "1.0.3")


def ledger_of(*versions: str) -> Ledger:
    ledger = Ledger()
    for at_us, version in enumerate(versions):
        acceptance = Acceptance(version=version, sha256="", key_id="", accepted_at_us=at_us)
        ledger = ledger.with_accepted(acceptance, None).with_activation(version, at_us * 10)
    return ledger


def change_by_hand(settings: Settings, version: str) -> None:
    """As serving.md tells it."""
    scratch = settings.prod_models_dir / "x"
    scratch.write_text(f"{version}\n")
    scratch.rename(settings.prod_models_dir / "current_version.txt")


def serves(server: Running, version: str) -> bool:
    return bool(server.client.get("/current_model").json()["version"] == version)


def test_a_good_version_pushed_over_a_bad_one_goes_back_to_the_last_that_served_well() -> None:
    ledger = ledger_of("1.0.0").with_served_well("1.0.0", 5)
    for version in ("1.0.1", "1.0.2"):
        acceptance = Acceptance(version=version, sha256="", key_id="", accepted_at_us=50)
        ledger = ledger.with_accepted(acceptance, None).with_activation(version, 50)
    assert ledger.fallback_for("1.0.2", set(VERSIONS)) == "1.0.0"
    assert [a.ended for a in ledger.activations] == [Ending.REPLACED, Ending.REPLACED, None]


def test_where_nothing_has_served_well_yet_it_goes_to_what_served_last() -> None:
    assert ledger_of("1.0.0", "1.0.1", "1.0.2").fallback_for("1.0.2", set(VERSIONS)) == "1.0.1"


def test_a_version_that_was_left_counts_again_once_somebody_has_put_it_back() -> None:
    ledger = ledger_of("1.0.0", "1.0.1").with_rollback("1.0.1", "bad", 20)
    ledger = ledger.with_activation("1.0.0", 20)
    assert ledger.was_left("1.0.1")
    assert ledger.fallback_for("1.0.0", set(VERSIONS)) is None
    back = ledger.with_activation("1.0.1", 30).with_served_well("1.0.1", 40)
    assert not back.was_left("1.0.1")
    assert back.fallback_for("1.0.2", set(VERSIONS)) == "1.0.1"
    again = back.with_rollback("1.0.1", "bad after all", 50).with_activation("1.0.0", 50)
    assert again.fallback_for("1.0.0", set(VERSIONS)) is None


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["push", "well", "back", "name", "hand"]), st.integers(0, 3)),
        max_size=25,
    )
)
def test_a_rollback_never_goes_to_a_version_that_was_left_or_is_the_one_left(
    steps: list[tuple[str, int]],
) -> None:
    ledger, current = ledger_of(*VERSIONS), VERSIONS[-1]
    for at, (what, which) in enumerate(steps):
        now_us, named = 1_000 + at, VERSIONS[which]
        target = named if what in ("name", "hand", "push") else None
        if what == "well":
            ledger = ledger.with_served_well(current, now_us)
            continue
        target = target or ledger.fallback_for(current, set(VERSIONS))
        if target is None or target == current:
            continue
        if what == "hand":
            ledger = ledger.with_hand_change(target, now_us)
        else:
            if what == "back":
                assert not ledger.was_left(target)
                ledger = ledger.with_rollback(current, "bad", now_us)
            ledger = ledger.with_activation(target, now_us)
        current = target
        fallback = ledger.fallback_for(current, set(VERSIONS))
        assert fallback != current
        assert fallback is None or not ledger.was_left(fallback)
        served_last = ledger.served_last
        assert served_last is not None
        assert served_last.version == current
        assert all(a.left_at_us is not None for a in ledger.activations[:-1])


def test_a_return_by_name_keeps_a_fallback(settings: Settings, signer: Signer) -> None:
    with Running(settings) as server:
        assert server.push(signer.bundle("1.0.1"), signer).status_code == 200
        assert server.rollback("an alert").json()["version"] == "1.0.0"
        assert server.rollback("it was the data", version="1.0.1").json()["version"] == "1.0.1"
        assert server.client.get("/current_model").json()["fallback"] == "1.0.0"
        assert server.rollback("it was not").json()["version"] == "1.0.0"


def test_a_pointer_changed_by_hand_is_followed_counted_audited_and_not_undone(
    settings: Settings, signer: Signer
) -> None:
    install(settings, signer, "1.0.1", "1.0.2")
    with worker(settings, 0) as first, worker(settings, 1) as second:
        change_by_hand(settings, "1.0.1")
        wait_until(lambda: serves(first, "1.0.1") and serves(second, "1.0.1"))
        wait_until(lambda: first.client.get("/current_model").json()["fallback"] == "1.0.0")
        counted = [
            line
            for line in first.client.get("/metrics").text.splitlines()
            if line.startswith("understudy_hand_changes_total")
        ]
        assert sum(float(line.rsplit(" ", 1)[1]) for line in counted) <= 1
        # What the hand left is not returned to.
        assert first.rollback().json()["version"] == "1.0.0"
    lines = [line for line in audit(settings) if line["what"] == "hand-change"]
    assert [(line["version"], line["previous"]) for line in lines] == [("1.0.1", "1.0.2")]


def test_a_pointer_changed_while_the_service_was_down_is_audited_too(
    settings: Settings, signer: Signer
) -> None:
    install(settings, signer, "1.0.1", "1.0.2")
    change_by_hand(settings, "1.0.1")
    with Running(settings) as server:
        assert serves(server, "1.0.1")
        assert "understudy_hand_changes_total 1.0" in server.client.get("/metrics").text
        assert server.rollback().json()["version"] == "1.0.0"
    assert audit(settings)[0]["what"] == "hand-change"


def test_a_hand_that_names_what_was_never_accepted_is_told_and_can_still_be_rolled_back_from(
    settings: Settings, signer: Signer, tmp_path: Path
) -> None:
    install(settings, signer, "1.0.1")
    with worker(settings, 0) as server:
        change_by_hand(settings, "7.7.7")
        wait_until(
            lambda: "never accepted" in str(server.client.get("/readyz").json()["behind"]),
            seconds=30,
        )
        labels = {"alertname": "NewModelSlow", "model_version": "1.0.1"}
        body = {"alerts": [{"status": "firing", "labels": labels}]}
        answer = server.client.post("/alert", json=body, headers=server.bearer(Role.ALERT))
        assert answer.json()["version"] == "1.0.0", answer.text


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"leaving": "1.0.0"}, "version-changed"),
        ({"not_after": "2026-01-01T00:00:00Z"}, "order-expired"),
    ],
)
def test_an_order_that_is_out_of_date_is_not_carried_out(
    settings: Settings, signer: Signer, body: dict[str, str], kind: str
) -> None:
    install(settings, signer, "1.0.1")
    with Running(settings) as server:
        answer = server.rollback(**body)
        assert (answer.status_code, answer.json()["type"]) == (
            409, f"urn:understudy:problem:{kind}",
        )  # fmt: skip
        assert serves(server, "1.0.1")
        held = server.rollback(leaving="1.0.1", not_after="2999-01-01T00:00:00Z")
        assert held.json()["version"] == "1.0.0"


def test_an_order_is_not_carried_out_after_a_change_that_it_did_not_know(
    settings: Settings, signer: Signer
) -> None:
    install(settings, signer, "1.0.1", "1.0.2")
    with worker(settings, 0) as server:
        change_by_hand(settings, "1.0.1")
        wait_until(lambda: serves(server, "1.0.1"))
        with pytest.raises(NotServing, match=r"1\.0\.1 has been put into service"):
            server.service.models.promoter.rollback(None, "queued", "operator", seen="1.0.2")
        assert serves(server, "1.0.1")


def test_an_order_that_waited_for_too_long_is_not_carried_out() -> None:
    now = time.monotonic()
    Order(now, "1.0.0").check(None, 0)
    with pytest.raises(Problem, match="ask again"):
        Order(now - MAX_WAIT_SECONDS - 0.1, "1.0.0").check(None, 0)


def test_a_version_that_served_for_the_declared_time_and_rows_is_written_down_as_one(
    settings: Settings, signer: Signer
) -> None:
    declared = settings.model_copy(update={"served_well_seconds": 0.5, "served_well_rows": 3})
    with Running(declared) as server:
        proof, registry = server.service.models.proof, server.service.models.registry
        assert server.push(signer.bundle("1.0.1"), signer).status_code == 200
        proof.look()
        assert well(registry) == []
        for _ in range(3):
            assert server.score(amount=1.0).status_code == 200
        # The service itself looks every few seconds.
        wait_until(lambda: well(registry) == ["1.0.1"], seconds=30)
        assert server.push(signer.bundle("1.0.2"), signer).status_code == 200
        assert server.push(signer.bundle("1.0.3"), signer).status_code == 200
        # 1.0.2 was replaced before it had shown anything.
        assert server.rollback().json()["version"] == "1.0.1"
    content = httpx.Response(200, content=(registry.ledger_path).read_bytes()).json()
    ended = [one["ended"] for one in content["activations"]]
    assert ended == ["replaced", "replaced", "replaced", "rolled-back", None]


def well(registry: Registry) -> list[str]:
    activations = registry.ledger.activations
    return [one.version for one in activations if one.served_well_at_us is not None]
