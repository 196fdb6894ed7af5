"""Every screen and every deed there is. A screen that is not here is in no navigation."""

from collections.abc import Sequence

from console.deeds import Deed
from console.screen import Screen
from console.screens import (
    approvals,
    decision,
    dossier,
    drift,
    now,
    promise,
    rollout,
    runs,
    schedule,
    steer,
    traffic,
    trail,
    versions,
    what_if,
)

SCREENS: Sequence[Screen] = (
    now.SCREEN,
    runs.LIST,
    runs.ONE,
    steer.SCREEN,
    approvals.SCREEN,
    rollout.SCREEN,
    versions.LIST,
    versions.COMPARE,
    versions.ONE,
    decision.SCREEN,
    traffic.SCREEN,
    drift.SCREEN,
    promise.SCREEN,
    schedule.SCREEN,
    trail.SCREEN,
    dossier.SCREEN,
    what_if.SCREEN,
)
DEEDS: Sequence[Deed] = (*steer.DEEDS, *approvals.DEEDS, *what_if.DEEDS)
