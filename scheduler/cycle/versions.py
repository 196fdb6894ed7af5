"""The next version: patch = the same recipe on fresh data, minor = a new recipe; pure."""

import json
from collections.abc import Mapping
from typing import Any

from shared.bundle.manifest import Manifest
from shared.bundle.version import Version
from shared.usecase.learning import CHOSEN, Candidate


def is_new_recipe(candidate: Candidate, champion: Manifest | None) -> bool:
    """Whether features, components or hyperparameters differ from the champion's."""
    if champion is None:
        return True
    return (
        tuple(candidate.feature_names),
        candidate.feature_set_version,
        tuple(candidate.components),
        _canonical(candidate.hyperparameters),
    ) != (
        champion.feature_names,
        champion.feature_set_version,
        champion.components,
        _canonical(champion.hyperparameters),
    )


def next_version(
    champion: Version | None,
    accepted: frozenset[Version],
    used: frozenset[Version],
    schema_version: int,
    *,
    new_recipe: bool,
) -> Version:
    """A version newer than all the API ever accepted, and never used for a candidate before."""
    newest = max(accepted | ({champion} if champion else set()), default=None)
    if newest is None or newest.major < schema_version:
        version = Version(schema_version, 0, 0)
    else:
        version = newest.next_minor() if new_recipe else newest.next_patch()
    while version in used:
        version = version.next_patch()
    return version


def _canonical(values: Mapping[str, Any]) -> str:
    """Text that is equal for values that are equal once they have been through JSON.

    What a training chose by itself is no part of its recipe: the recipe says how to choose.
    """
    declared = {name: value for name, value in values.items() if name != CHOSEN}
    return json.dumps(declared, sort_keys=True, default=str)
