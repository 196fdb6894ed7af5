"""Addresses this program may call: only those that an operator names, only over HTTP.

There are four: API_URL, MLFLOW_TRACKING_URI, OTEL_EXPORTER_OTLP_ENDPOINT and NOTIFY_URL. No
request, webhook, bundle or row of data ever names one; a client that calls them follows no
redirect.
"""

import os
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

_SCHEMES = ("http", "https")


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


def _check_secret(address: SecretStr) -> SecretStr:
    check_address(address.get_secret_value())
    return address


def _check_webhook(address: SecretStr) -> SecretStr:
    check_address(address.get_secret_value(), with_query=True)
    return address


Address = Annotated[str, AfterValidator(check_address)]
SecretAddress = Annotated[SecretStr, AfterValidator(_check_secret)]
SecretWebhook = Annotated[SecretStr, AfterValidator(_check_webhook)]


def own_api() -> str:
    """The API of this machine, at API_PORT, so that a changed port is set only once."""
    return f"http://127.0.0.1:{os.environ.get('API_PORT') or 8000}"
