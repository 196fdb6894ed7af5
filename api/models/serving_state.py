"""The live version and its fallback, how either changes, and the push that asks for a change."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from api.metrics import Metrics
from api.models.crashes import Crashes
from api.models.model_loader import ModelLoader
from api.models.model_slot import LiveModel, ModelSlot
from api.models.refusals import NoFallback, VersionUnknown
from api.registry.ledger import Ledger
from api.registry.stored_version import Meta, StoredVersion


@dataclass(frozen=True, slots=True)
class VersionChange:
    """The live version, and the one before it."""

    version: str
    previous: str | None
    activated_at_us: int


BeginTrial = Callable[[LiveModel, Ledger, tuple[Meta, StoredVersion]], VersionChange]
"""Put a loaded model on trial, and record it with the ledger in which it is accepted."""


@dataclass(frozen=True, slots=True)
class Push:
    """The bundle as it came.

    Attributes:
        trial: puts the loaded model on trial instead of into service, once it is accepted.
    """

    raw: bytes
    signature: str
    fencing_number: int | None
    who: str
    trial: BeginTrial | None = None


class ServingState:
    """The live version and its fallback; changed under the swap's lock, read without it."""

    def __init__(
        self, loader: ModelLoader, slot: ModelSlot, metrics: Metrics, crashes: Crashes
    ) -> None:
        self._loader = loader
        self._slot = slot
        self._metrics = metrics
        self._crashes = crashes
        # The version that the last rollback left, kept loaded for a quick return.
        self._left: LiveModel | None = None

    @property
    def live(self) -> LiveModel | None:
        return self._slot.live

    def serve(self, model: LiveModel, now_us: int) -> VersionChange:
        """Assign the reference; from here on every answer is the new version's."""
        left = self._slot.live
        fallback = self._fallback_of(model)
        if left is not None and left.version != model.version:
            self._left = None if fallback is left else left
        serving = self._crashes.serving(replace(model, activated_at_us=now_us), now_us)
        self._metrics.serving(model.version, now_us, model.score_edges)
        self._slot.assign(serving, fallback, self._fresh_seconds(serving))
        return VersionChange(model.version, None if left is None else left.version, now_us)

    def renew_fallback(self) -> None:
        """The ledger has changed, and with it perhaps the fallback."""
        live, fallback = self._slot.live, self._slot.fallback
        if live is None:
            return
        name = self._loader.fallback_for(live.version)
        if name != (None if fallback is None else fallback.version):
            self._slot.assign(live, self._fallback_of(live), self._fresh_seconds(live))

    def in_memory(self, version: str) -> LiveModel | None:
        for model in (self._slot.live, self._slot.fallback, self._left):
            if model is not None and model.version == version:
                return model
        return None

    def loaded(self) -> set[str]:
        """The versions that are in memory."""
        models = (self._slot.live, self._slot.fallback)
        return {model.version for model in models if model is not None}

    def target(self, version: str | None) -> LiveModel:
        """The model to roll back to, loaded; None: the fallback."""
        live, fallback = self._slot.live, self._slot.fallback
        if version is None and fallback is None:
            barred = self._loader.barred("" if live is None else live.version)
            raise NoFallback(f"there is no version to roll back to: {barred}")
        if fallback is not None and version in (None, fallback.version):
            return fallback
        known = self._loader.versions()
        if version is None or version not in known:
            raise VersionUnknown(version, known)
        if live is not None and version == live.version:
            raise NoFallback(f"version {version} is the one that is serving")
        return self.in_memory(version) or self._loader.load(version)

    def _fresh_seconds(self, model: LiveModel) -> float:
        """The remaining seconds of comparison; 0 for a version that has served well before."""
        if self._loader.is_proven(model.version):
            return 0.0
        return self._crashes.fresh_seconds(model.activated_at_us)

    def _fallback_of(self, model: LiveModel) -> LiveModel | None:
        """Loaded now: a rollback must not need a disk."""
        name = self._loader.fallback_for(model.version)
        if name is None:
            return None
        return self.in_memory(name) or self._loader.load_if_possible(name)
