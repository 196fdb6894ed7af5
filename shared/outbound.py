"""Addresses this program may call: only those that an operator names.

Four are called over HTTP: API_URL, MLFLOW_TRACKING_URI, OTEL_EXPORTER_OTLP_ENDPOINT and NOTIFY_URL;
a client that calls them follows no redirect. Others are places of data: DATABASE_URL, STORE_URL,
LAKE_URL, `[source]` of a declaration, and the cluster of RAY_ADDRESS. No request, webhook, bundle
or row of data ever names one.
"""

import os
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

_SCHEMES = ("http", "https")


class SecretInside(ValueError):
    """Raised about a text that no message may repeat."""


def check_address(text: str, *, with_query: bool = False) -> str:
    """The address, if it can only be that of a web service.

    `with_query`: webhooks may have their key behind a question mark.

    Raises:
        ValueError: it is not one; the text does not repeat it, as it may contain a password.
    """
    if not text.isascii() or not text.isprintable() or any(c in text for c in " \\"):
        raise ValueError("an address has neither blanks, backslashes nor control characters")
    parts = urlsplit(text)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError("write it as http://host:port or https://host")
    if parts.fragment or (parts.query and not with_query):
        raise ValueError("leave out what comes after ? or #")
    _ = parts.port  # raises ValueError for an invalid port
    return text


def check_place(text: str) -> str:
    """A folder, or the address of a bucket, which messages and tables of changes repeat.

    Raises:
        SecretInside: it contains a password or a signature.
    """
    parts = urlsplit(text) if "://" in text else urlsplit("")
    if parts.password is not None or "sig=" in parts.query:
        raise SecretInside(
            "a place has no password in it: messages repeat it. Keys of a bucket go into "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what its tools use"
        )
    return text


def _check_secret(address: SecretStr) -> SecretStr:
    check_address(address.get_secret_value())
    return address


def _check_webhook(address: SecretStr) -> SecretStr:
    check_address(address.get_secret_value(), with_query=True)
    return address


def own_api() -> str:
    """The API of this machine, at API_PORT, so that a changed port is set only once."""
    return f"http://127.0.0.1:{os.environ.get('API_PORT') or 8000}"


_STORE_SCHEMES = ("s3", "gs", "az", "file")


def check_store_url(text: str) -> str:
    """The address, if it can only be that of a store.

    Raises:
        ValueError: it is not one; the text does not repeat it, as it may contain a password.
    """
    parts = urlsplit(text)
    if parts.scheme not in _STORE_SCHEMES:
        raise ValueError("write it as s3://, gs://, az:// or file:///")
    if parts.username or parts.password or "@" in parts.netloc:
        raise ValueError("credentials go into STORE_ACCESS_KEY_ID and STORE_SECRET_ACCESS_KEY")
    if parts.query or parts.fragment:
        raise ValueError("leave out what comes after ? or #")
    if parts.scheme == "file":
        if parts.netloc or len(parts.path) < 2:
            raise ValueError("write a folder as file:///mnt/understudy, with three slashes")
    elif not parts.netloc:
        raise ValueError("name the bucket, as in s3://bucket/prefix")
    return text.rstrip("/")


TableAddress = Annotated[str, AfterValidator(check_place)]
Address = Annotated[str, AfterValidator(check_address)]
SecretAddress = Annotated[SecretStr, AfterValidator(_check_secret)]
SecretWebhook = Annotated[SecretStr, AfterValidator(_check_webhook)]
StoreUrl = Annotated[str, AfterValidator(check_store_url)]
