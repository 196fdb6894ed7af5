"""Keys of bundles: Ed25519 signatures over their bytes, and the store of keys with rotation.

A signature has the name of the key that made it. The store holds the signing key and the trusted
public keys.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from filelock import FileLock

from shared.errors import SettingsError, SignatureInvalid
from shared.system.files import create_once, make_folder, move, write_whole

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


Keys = Mapping[str, Ed25519PublicKey]
_LOCK_SECONDS = 10


class KeyStore:
    """The `signing/` and `trust/` folders below one keys directory.

    A key in `trust/` may sign what is pushed. One in `trust/retired/` may not any more, and
    versions that were accepted under it still load.
    """

    def __init__(self, keys_dir: Path) -> None:
        self._private_path = keys_dir / "signing" / "ed25519.pem"
        self._trust_dir = keys_dir / "trust"
        self._retired_dir = self._trust_dir / "retired"

    def ensure_signing_key(self) -> str:
        """Make the key pair if there is none, and trust it; returns the key's id."""
        create_once(self._private_path, _private_pem(Ed25519PrivateKey.generate()))
        return self._trust(self.private_key().public_key())

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

    def signing_key_id(self) -> str | None:
        """The id of the key that signs here; None where only trust is kept."""
        return key_id(self.private_key().public_key()) if self._private_path.exists() else None

    def trusted_keys(self) -> Keys:
        """Key id -> public key, reread at each call so that rotation needs no restart.

        Raises:
            SettingsError: a file in the folder is not an Ed25519 public key.
        """
        return _read_all(self._trust_dir)

    def retired_keys(self) -> Keys:
        """Keys whose accepted versions load and whose pushes do not; see `trusted_keys`."""
        return _read_all(self._retired_dir)

    def accepted_keys(self) -> Keys:
        """Keys whose accepted versions load: the trusted and the retired ones."""
        return {**self.retired_keys(), **self.trusted_keys()}

    def rotate(self) -> str:
        """Sign with a new key from now on; the old one stays trusted until it is retired.

        The new key is trusted before anything can be signed with it, so no push falls between.
        """
        with self._changing():
            fresh = Ed25519PrivateKey.generate()
            fresh_id = self._trust(fresh.public_key())
            write_whole(self._private_path, _private_pem(fresh), mode=0o600)
        return fresh_id

    def retire(self, old: str, *, compromised: bool = False) -> None:
        """Take no more pushes signed by a key; when compromised, load nothing of it either.

        Raises:
            SettingsError: it is unknown, or the key that signs now.
        """
        with self._changing():
            if old == self.signing_key_id():
                raise SettingsError(f"{old} signs now; `understudy keys rotate` first")
            found = [key for key in (self._path(old), self._retired_path(old)) if key.exists()]
            if not found:
                known = ", ".join([*self.trusted_keys(), *self.retired_keys()])
                raise SettingsError(f"there is no key {old[:40]!r}; known: {known}")
            if compromised:
                for path in found:
                    path.unlink()
            elif found[0] != self._retired_path(old):
                make_folder(self._retired_dir)
                move(found[0], self._retired_path(old))

    def _trust(self, public: Ed25519PublicKey) -> str:
        name = key_id(public)
        create_once(self._path(name), _public_pem(public), mode=0o644)
        return name

    def _path(self, name: str) -> Path:
        return self._trust_dir / f"{_as_key_id(name)}.pub"

    def _retired_path(self, name: str) -> Path:
        return self._retired_dir / f"{_as_key_id(name)}.pub"

    def _changing(self) -> FileLock:
        self._trust_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        return FileLock(self._trust_dir / ".lock", timeout=_LOCK_SECONDS)


def _as_key_id(name: str) -> str:
    """Raises SettingsError for what cannot be one: it becomes part of a path."""
    if not (name.isascii() and name.isalnum()):
        raise SettingsError(f"{name[:40]!r} is not a key id; `understudy keys list` shows them")
    return name


def _private_pem(private: Ed25519PrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _public_pem(public: Ed25519PublicKey) -> bytes:
    return public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _read_all(folder: Path) -> Keys:
    return {key_id(key): key for key in map(_read_public, sorted(folder.glob("*.pub")))}


def _read_public(path: Path) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"KEYS_DIR: cannot read {path}: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise SettingsError(f"KEYS_DIR: {path} is not an Ed25519 public key")
    return key
