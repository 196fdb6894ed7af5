"""An API whose registry serves a model of the real features of fraud."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from api.settings import Settings
from shared.keys.tokens import API_ROLES, ensure_tokens
from tests.api.bundles import Signer
from tests.api.server import serve_settings
from tests.support.api_registries import put_into_service
from usecases.fraud.features.catalogue import FEATURE_SET


def fraud_settings(folder: Path, files: Mapping[str, bytes] | None = None, **said: Any) -> Settings:
    """Settings of such an API; `said` is what the manifest of version 1.0.0 says."""
    settings = serve_settings(folder, use_case="fraud")
    ensure_tokens(settings.keys_dir, API_ROLES)
    signer = Signer(settings.keys_dir)
    usual = {"use_case": "fraud", "feature_set_version": FEATURE_SET.version}
    raw = signer.bundle("1.0.0", files, **(usual | said))
    put_into_service(settings, signer, raw)
    return settings
