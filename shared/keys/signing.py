"""Ed25519 signatures over a bundle's raw bytes, with the name of the key that made them."""

import base64
import binascii
import hashlib
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from shared.errors import SignatureInvalid

# Domain separation: signatures of this key for another purpose do not verify here.
_CONTEXT = b"understudy-bundle-v1\x00"


def key_id(public: Ed25519PublicKey) -> str:
    """Sixteen hex digits that name a public key."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]


def sign(raw: bytes, private: Ed25519PrivateKey) -> str:
    """The signature as text, `keyid:base64`, fit for a header or a file."""
    signature = private.sign(_message(raw))
    return f"{key_id(private.public_key())}:{base64.b64encode(signature).decode()}"


def verify(raw: bytes, signature: str, trusted: Mapping[str, Ed25519PublicKey]) -> str:
    """The id of the trusted key that signed these bytes.

    Raises:
        SignatureInvalid: malformed, made by an unknown key, or not over these bytes.
    """
    if not signature.strip():
        raise SignatureInvalid("it is not signed: no signature came with it")
    signer, _, encoded = signature.strip().partition(":")
    public = trusted.get(signer)
    if public is None:
        raise SignatureInvalid("the signature names no trusted key")
    try:
        public.verify(base64.b64decode(encoded, validate=True), _message(raw))
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise SignatureInvalid("the signature does not match these bytes") from error
    return signer


def _message(raw: bytes) -> bytes:
    # Signs the digest, so that bundles of hundreds of megabytes are not copied.
    return _CONTEXT + hashlib.sha256(raw).digest()
