"""Rows and labels of unauthenticated callers change no features, no tile, and no training data."""

from collections.abc import Iterator

import pytest

from benchmarks.attacks_poison import with_token
from tests.api.attacks.poison import CONTROLS, POISON, PairedServices, Poison, paired_services


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PairedServices]:
    """Open scoring that others can reach."""
    with paired_services(
        tmp_path_factory.mktemp("exposed"), open_scoring_reach="anywhere"
    ) as found:
        yield found


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PairedServices]:
    """Open scoring on this machine."""
    with paired_services(tmp_path_factory.mktemp("local")) as found:
        yield found


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PairedServices]:
    with paired_services(tmp_path_factory.mktemp("closed"), scoring_auth="on") as found:
        yield found


@pytest.mark.parametrize("poison", POISON, ids=str)
def test_no_stranger_poisons_an_open_port_that_others_can_reach(
    exposed: PairedServices, poison: Poison
) -> None:
    assert exposed.effect(poison) is None


@pytest.mark.parametrize("poison", [each for each in POISON if not each.is_of_now], ids=str)
def test_no_stranger_dates_rows_back_or_labels_on_an_open_port_of_this_machine(
    local: PairedServices, poison: Poison
) -> None:
    assert local.effect(poison) is None


def test_no_stranger_poisons_a_closed_port(closed: PairedServices) -> None:
    assert [found for poison in POISON if (found := closed.effect(poison))] == []


@pytest.mark.parametrize("poison", CONTROLS, ids=str)
def test_the_same_rows_with_a_token_do_take_which_shows_that_poison_would_be_seen(
    closed: PairedServices, poison: Poison
) -> None:
    found = closed.effect(with_token(poison, closed))
    assert found == f"{poison.name}: other features"
