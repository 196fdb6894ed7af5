"""Builds a store from settings; without STORE_URL nothing here imports or opens anything."""

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from shared.errors import SettingsError
from shared.storage.folder_store import FolderStore
from shared.storage.object_store import ObjectStore

if TYPE_CHECKING:
    from shared.settings import StoreSettings


def open_store(settings: "StoreSettings") -> ObjectStore | None:
    """The store that STORE_URL names; None: each host is on its own.

    Raises:
        SettingsError: it cannot be used as it is written.
    """
    url = settings.store_url
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme == "file":
        return FolderStore(_folder(unquote(parts.path)), settings.store_timeout_seconds)
    return _bucket(url, parts.scheme, settings)


def _folder(path: str) -> Path:
    folder = Path(path)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"STORE_URL: {folder} cannot be used: {error.strerror}; make the folder, mount it, or "
            "name another"
        ) from error
    return folder


def _bucket(url: str, scheme: str, settings: "StoreSettings") -> ObjectStore:
    try:
        from obstore.store import from_url  # noqa: PLC0415 - imported only where it is used

        from shared.storage.bucket_store import BucketStore, timeouts  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            "STORE_URL: buckets need the package obstore; install requirements/serving.txt"
        ) from error
    options = _s3_options(settings) if scheme == "s3" else {}
    allow_http = (settings.store_endpoint or "").startswith("http://")
    clients = []
    for seconds in (settings.store_timeout_seconds, settings.store_transfer_timeout_seconds):
        patience: dict[str, Any] = timeouts(seconds)
        patience["client_options"]["allow_http"] = allow_http
        try:
            clients.append(from_url(url, **options, **patience))
        except Exception as error:
            raise SettingsError(f"STORE_URL: {url} cannot be used: {_first_line(error)}") from error
    return BucketStore(url, *clients)


def _s3_options(settings: "StoreSettings") -> dict[str, Any]:
    """The options set here; obstore takes all others from the usual AWS_* variables."""
    said = {
        "endpoint": settings.store_endpoint,
        "region": settings.store_region or None,
        "access_key_id": _secret(settings.store_access_key_id),
        "secret_access_key": _secret(settings.store_secret_access_key),
    }
    return {name: value for name, value in said.items() if value is not None}


def _secret(value: Any) -> str | None:
    return None if value is None else str(value.get_secret_value())


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
