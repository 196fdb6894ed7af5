"""Each attack of the catalogue against a running service: refused, and the old model serves on."""

import pytest

from tests.api.attacks.attack import Attack, Target, outcome
from tests.api.attacks.pushes import pushes
from tests.api.attacks.requests import requests, routes
from tests.api.attacks.wire import wire


@pytest.mark.parametrize("attack", [*pushes(), *requests(), *wire()], ids=str)
def test_an_attack_is_refused_and_the_old_model_serves_on(target: Target, attack: Attack) -> None:
    assert outcome(attack, target) is None


def test_every_verb_on_every_route_of_the_table_needs_credentials(target: Target) -> None:
    attacks = list(routes(target.server.app))
    let_in = {a.name: found for a in attacks if (found := outcome(a, target)) is not None}
    assert let_in == {}
    assert len(attacks) > 150
