"""One attempt to bring a version into service."""

from collections.abc import Callable
from dataclasses import dataclass

from api.models.loaded import LiveModel
from api.models.serving_state import Change
from api.models.verify import Authentic
from api.registry.registry import Meta


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
    trial: Callable[[LiveModel], Change] | None = None

    def meta(self, authentic: Authentic, now_us: int) -> Meta:
        """What stands beside the bundle in the registry."""
        manifest = authentic.bundle.manifest
        return Meta(
            version=manifest.version,
            sha256=authentic.bundle.sha256,
            key_id=authentic.key_id,
            accepted_at_us=now_us,
            size_bytes=len(self.raw),
            manifest=manifest.model_dump(mode="json", exclude={"files"}),
        )
