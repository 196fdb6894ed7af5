"""The address of a store, as STORE_URL names it."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

_SCHEMES = ("s3", "gs", "az", "file")


def check_store_url(text: str) -> str:
    """The address, if it can only be that of a store.

    Raises:
        ValueError: it is not one; the text does not repeat it, as it may contain a password.
    """
    parts = urlsplit(text)
    if parts.scheme not in _SCHEMES:
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


StoreUrl = Annotated[str, AfterValidator(check_store_url)]
