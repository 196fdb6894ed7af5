"""An API whose registry serves a model of the real features of fraud."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from api.registry.registry import Meta, Registry, StoredVersion
from api.settings import Settings
from shared.bundle.archive import unpack
from shared.keys.tokens import API_ROLES, ensure_tokens
from tests.api.bundles import Signer
from tests.api.server import serve_settings
from usecases.fraud.features.catalogue import FEATURE_SET


def fraud_settings(folder: Path, files: Mapping[str, bytes] | None = None, **said: Any) -> Settings:
    """Settings of such an API; `said` is what the manifest of version 1.0.0 says."""
    settings = serve_settings(folder, use_case="fraud")
    ensure_tokens(settings.keys_dir, API_ROLES)
    signer = Signer(settings.keys_dir)
    usual = {"use_case": "fraud", "feature_set_version": FEATURE_SET.version}
    raw = signer.bundle("1.0.0", files, **(usual | said))
    registry = Registry(settings.prod_models_dir)
    registry.open()
    bundle = unpack(raw)
    meta = Meta(
        version="1.0.0",
        sha256=bundle.sha256,
        key_id="key",
        accepted_at_us=1,
        size_bytes=len(raw),
        manifest=bundle.manifest.model_dump(mode="json", exclude={"files"}),
    )
    registry.store(meta, StoredVersion(raw, signer.sign(raw)))
    registry.point_to("1.0.0")
    accepted = registry.ledger.with_accepted(meta.acceptance(), None)
    registry.save(accepted.with_activation("1.0.0", 1))
    return settings
