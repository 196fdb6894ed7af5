"""A version on disk: its bytes, and the description beside them."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from api.registry.ledger import Acceptance, Instant


class ManifestHead(BaseModel):
    """Members of a stored manifest that are read without its bundle."""

    model_config = ConfigDict(extra="allow")

    thresholds: dict[str, float] = Field(default_factory=dict)
    metrics: dict[str, float | None] | None = None
    parent_version: str | None = None


class Meta(BaseModel):
    """Beside each bundle: how it came here, and its manifest without the file list."""

    version: str
    sha256: str
    key_id: str
    accepted_at_us: Instant
    size_bytes: int
    manifest: dict[str, Any]

    @field_validator("manifest")
    @classmethod
    def _can_be_shown(cls, manifest: dict[str, Any]) -> dict[str, Any]:
        ManifestHead.model_validate(manifest)
        return manifest

    @property
    def thresholds(self) -> dict[str, float]:
        return ManifestHead.model_validate(self.manifest).thresholds

    def acceptance(self) -> Acceptance:
        return Acceptance(
            version=self.version,
            sha256=self.sha256,
            key_id=self.key_id,
            accepted_at_us=self.accepted_at_us,
        )


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """The bytes as they were pushed."""

    raw: bytes
    signature: str


@dataclass(frozen=True, slots=True)
class Mended:
    """Something that was found wrong at the start and put right; goes into the audit trail."""

    what: str
    why: str
    details: dict[str, object] = field(default_factory=dict)
