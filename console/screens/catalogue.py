"""Every screen and every deed there is. A screen that is not here is in no navigation."""

from collections.abc import Sequence

from console.deeds import Deed
from console.screen import Screen
from console.screens import drift, now, rollout, runs, schedule, steer, traffic, versions

SCREENS: Sequence[Screen] = (
    now.SCREEN,
    runs.LIST,
    runs.ONE,
    steer.SCREEN,
    rollout.SCREEN,
    versions.LIST,
    versions.COMPARE,
    versions.ONE,
    traffic.SCREEN,
    drift.SCREEN,
    schedule.SCREEN,
)
DEEDS: Sequence[Deed] = steer.DEEDS
