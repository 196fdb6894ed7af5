"""Two hosts' views of a registry become one: rules that hold for any histories."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from api.registry.content import RegistryContent, merged
from api.registry.ledger import Acceptance, Ending, Ledger
from api.registry.rollouts import Rollouts

NOW_US = 1_000_000_000_000
VERSIONS = tuple(f"1.0.{number}" for number in range(4))
Step = tuple[str, str, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(("activate", "roll_back", "revoke", "serve_well")),
        st.sampled_from(VERSIONS),
        # clocks of hosts differ
        st.integers(-50, 50),
    ),
    max_size=6,
)


def began() -> RegistryContent:
    """What both have agreed on: all are accepted, the newest serves after the one before it."""
    ledger = Ledger()
    for at, version in enumerate(VERSIONS):
        ledger = ledger.with_accepted(
            Acceptance(version=version, sha256=version, key_id="k", accepted_at_us=at), None
        )
    ledger = ledger.with_activation(VERSIONS[0], 100).with_activation(VERSIONS[1], 200)
    return RegistryContent(VERSIONS[1], ledger, Rollouts())


def done(content: RegistryContent, history: list[Step], at_us: int) -> RegistryContent:
    """The content after what one host did, as its promoter allows it."""
    current, ledger = str(content.current), content.ledger
    for number, (kind, version, skew) in enumerate(history):
        now_us = at_us + 100 * number + skew
        if ledger.is_revoked(version):
            continue
        if kind == "activate" and version != current:
            ledger, current = ledger.with_activation(version, now_us), version
        elif kind == "roll_back" and version != current:
            ledger = ledger.with_rollback(current, "a test", now_us)
            ledger, current = ledger.with_activation(version, now_us), version
        elif kind == "revoke" and version != current:
            ledger = ledger.with_revocation(version, "a test", now_us)
        elif kind == "serve_well":
            ledger = ledger.with_served_well(current, now_us)
    return RegistryContent(current, ledger, Rollouts())


def left(content: RegistryContent) -> set[str]:
    """Versions that a rollback has left for good, as this side knows it."""
    ledger = content.ledger
    return {v for v in VERSIONS if ledger.was_left(v) or ledger.is_revoked(v)}


def activated(content: RegistryContent, version: str) -> int:
    return content.ledger.activated_at_us(version) or -1


@given(steps, steps)
def test_a_version_that_was_left_is_not_live_by_an_older_record(
    mine: list[Step], theirs: list[Step]
) -> None:
    local, shared = done(began(), mine, 1_000), done(began(), theirs, 1_000)
    found = merged(local, shared, NOW_US)
    assert found.current is not None
    targets = found.ledger.return_order(set(VERSIONS))
    served = {activation.version for activation in found.ledger.activations}
    if not all(found.ledger.is_revoked(version) for version in served):
        assert not found.ledger.is_revoked(found.current)
    if targets in ([], [found.current]):
        return  # there is nothing better to serve
    for side, other in ((local, shared), (shared, local)):
        if found.current in left(side):
            # the other side put it into service after this one had left it
            marked = side.ledger.accepted[found.current].rolled_back_at_us
            assert marked is not None
            assert activated(other, found.current) > marked


@given(steps, steps)
def test_revocations_and_rollbacks_of_both_sides_stay(mine: list[Step], theirs: list[Step]) -> None:
    local, shared = done(began(), mine, 1_000), done(began(), theirs, 1_000)
    found = merged(local, shared, NOW_US).ledger
    for side in (local, shared):
        for version, accepted in side.ledger.accepted.items():
            assert found.is_revoked(version) or accepted.revoked_at_us is None
            marked = found.accepted[version].rolled_back_at_us or -1
            assert marked >= (accepted.rolled_back_at_us or -1)


@given(steps, steps)
def test_merging_again_changes_nothing(mine: list[Step], theirs: list[Step]) -> None:
    local, shared = done(began(), mine, 1_000), done(began(), theirs, 1_000)
    found = merged(local, shared, NOW_US)
    for again in (merged(found, found, NOW_US + 1), merged(local, found, NOW_US + 1),
                  merged(shared, found, NOW_US + 1)):  # fmt: skip
        assert again == found


@given(steps)
def test_a_host_that_did_nothing_takes_over_what_the_store_says(theirs: list[Step]) -> None:
    shared = done(began(), theirs, 1_000)
    assert merged(began(), shared, NOW_US).current == shared.current


@given(steps, steps)
def test_the_live_version_is_the_last_of_the_ledger(mine: list[Step], theirs: list[Step]) -> None:
    """Or the pointer would count as changed by hand."""
    found = merged(done(began(), mine, 1_000), done(began(), theirs, 1_000), NOW_US)
    last = found.ledger.served_last
    assert last is not None
    assert (last.version, last.left_at_us) == (found.current, None)


def by_rollback(content: RegistryContent, at_us: int) -> RegistryContent:
    return done(content, [("roll_back", VERSIONS[0], 0)], at_us)


def by_push(content: RegistryContent, at_us: int) -> RegistryContent:
    return done(content, [("activate", VERSIONS[2], 0)], at_us)


def test_what_was_pushed_meanwhile_stays_live_whoever_was_first() -> None:
    orders: tuple[Callable[[], int], ...] = (lambda: 1_000, lambda: 3_000)
    for pushed_at in orders:
        local, shared = by_rollback(began(), 2_000), by_push(began(), pushed_at())
        found = merged(local, shared, NOW_US)
        assert found.current == VERSIONS[2]
        assert found.ledger.was_left(VERSIONS[1])
        assert found.ledger.fallback_for(VERSIONS[2], set(VERSIONS)) == VERSIONS[0]


def test_a_rollback_stays_although_the_clock_of_its_host_is_behind() -> None:
    local = by_rollback(began(), 50)
    found = merged(local, began(), NOW_US)
    assert found.current == VERSIONS[0]
    assert found.ledger.activations[-2].ended is Ending.ROLLED_BACK
