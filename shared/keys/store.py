"""Where the signing key and the trusted public keys lie."""

from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from shared.errors import SettingsError
from shared.keys.files import create_once
from shared.keys.signing import key_id


class KeyStore:
    """The `signing/` and `trust/` folders below one keys directory."""

    def __init__(self, keys_dir: Path) -> None:
        self._private_path = keys_dir / "signing" / "ed25519.pem"
        self._trust_dir = keys_dir / "trust"

    def ensure_signing_key(self) -> str:
        """Make the key pair if there is none, and trust it; returns the key's id."""
        fresh = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        create_once(self._private_path, fresh)
        public = self.private_key().public_key()
        create_once(self._trust_dir / f"{key_id(public)}.pub", _public_pem(public), mode=0o644)
        return key_id(public)

    def private_key(self) -> Ed25519PrivateKey:
        """The key that signs.

        Raises:
            SettingsError: there is none here, or it is not an Ed25519 key.
        """
        try:
            key = serialization.load_pem_private_key(self._private_path.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise SettingsError(f"KEYS_DIR: cannot read {self._private_path}: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise SettingsError(f"KEYS_DIR: {self._private_path} is not an Ed25519 key")
        return key

    def trusted_keys(self) -> Mapping[str, Ed25519PublicKey]:
        """Key id -> public key, read anew at each call so that rotation needs no restart.

        Raises:
            SettingsError: a file in the folder is not an Ed25519 public key.
        """
        return {
            key_id(key): key for key in map(_read_public, sorted(self._trust_dir.glob("*.pub")))
        }


def _public_pem(public: Ed25519PublicKey) -> bytes:
    return public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _read_public(path: Path) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"KEYS_DIR: cannot read {path}: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise SettingsError(f"KEYS_DIR: {path} is not an Ed25519 public key")
    return key
