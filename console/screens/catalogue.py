"""Every screen and every deed there is. A screen that is not here is in no navigation."""

from collections.abc import Sequence

from console.deeds import Deed
from console.screen import Screen
from console.screens import now

SCREENS: Sequence[Screen] = (now.SCREEN,)
DEEDS: Sequence[Deed] = ()
