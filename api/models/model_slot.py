"""The model slot: the one reference to the live version."""

import threading

from api.models.comparison import Comparison, compared
from api.models.loaded import LiveModel
from api.models.trial import Trial

NO_VERSION = "none"


class ModelSlot:
    """The live version and its loaded fallback, for an immediate rollback.

    Readers take `live` once and use only that: assignment of a reference is atomic.
    """

    def __init__(self) -> None:
        self.live: LiveModel | None = None
        self.fallback: LiveModel | None = None
        # The version on trial, compared with the live one; usually None.
        self.trial: Trial | None = None
        # The comparison of a fresh live version with its fallback, otherwise None.
        self.comparison: Comparison | None = None
        self._lock = threading.Lock()
        self.version_header = NO_VERSION.encode()

    @property
    def version(self) -> str:
        return NO_VERSION if self.live is None else self.live.version

    def assign(
        self, live: LiveModel, fallback: LiveModel | None, fresh_seconds: float = 0.0
    ) -> None:
        """Callers hold the swap's lock.

        `fresh_seconds`: for how long the version is compared with its fallback.
        """
        with self._lock:
            if self.trial is not None and self.trial.champion != live.version:
                # Any change of the live version ends a trial against the old champion.
                self.trial = None
            self.fallback = fallback
            self.comparison = compared(live, fallback, fresh_seconds, self.comparison)
            self.live = live
            self.version_header = live.version.encode()

    def try_out(self, trial: Trial | None) -> bool:
        """Put a version on trial, or none; False: its champion is not the live one."""
        with self._lock:
            if trial is not None and trial.champion != self.version:
                return False
            self.trial = trial
            return True
