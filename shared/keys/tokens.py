"""Tokens: one for each role, made at first start, and any number of named ones beside it.

A named token has the rights of its role and identifies its sender: `shop-a` scores with its own
token, so its rows can be distinguished from those of other senders.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

from shared.errors import SettingsError
from shared.system.files import create_once

# 32 random bytes cannot be guessed, so a fast hash is enough to compare them.
_TOKEN_BYTES = 32
# minimum length of a token that a person wrote into the file
MIN_TOKEN_CHARACTERS = 20
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

ANONYMOUS = "anonymous"
"""The sender of a row that came without credentials."""


class Role(StrEnum):
    """The roles of callers; docs/security.md says what each may do."""

    SCORER = "scorer"
    FEEDBACK = "feedback"
    READ = "read"
    PUSH = "push"
    OPERATOR = "operator"
    ALERT = "alert"
    TRIGGER = "trigger"
    CONSOLE = "console"


API_ROLES = tuple(Role)
# Roles whose token another service or client reads: each in a separate folder.
_SHARED_FOLDERS = {Role.PUSH: "push", Role.FEEDBACK: "feedback", Role.CONSOLE: "console"}


def token_path(keys_dir: Path, role: Role) -> Path:
    """The token of a role: those that others may read have separate folders."""
    return keys_dir / _SHARED_FOLDERS.get(role, "api") / f"{role}.token"


def token_digest(token: bytes) -> bytes:
    """The digest of a token that is stored and compared."""
    return hashlib.sha256(token).digest()


def ensure_tokens(keys_dir: Path, roles: Iterable[Role]) -> tuple[Role, ...]:
    """Make the tokens that are not there yet; returns whose were made."""
    return tuple(role for role in roles if _make(token_path(keys_dir, role)))


def read_token(keys_dir: Path, role: Role) -> str:
    """The token of a role.

    Raises:
        SettingsError: there is none; says where it was looked for.
    """
    path = token_path(keys_dir, role)
    try:
        token = path.read_text().strip()
    except OSError as error:
        raise SettingsError(
            f"KEYS_DIR: no {role} token at {path}; the API makes it at its first start"
        ) from error
    if not token:
        raise SettingsError(f"KEYS_DIR: the {role} token at {path} is empty; delete the file")
    return token


def named_folder(keys_dir: Path, role: Role) -> Path:
    """The folder of the named tokens of a role; only the API reads it."""
    return keys_dir / "api" / "named" / str(role)


def ensure_named_token(keys_dir: Path, role: Role, name: str) -> str:
    """The token of this name, made if there is none.

    Raises:
        SettingsError: the name cannot be one, or the file cannot be read or written.
    """
    path = named_folder(keys_dir, role) / f"{_checked(name)}.token"
    try:
        _make(path)
        return path.read_text().strip()
    except OSError as error:
        raise SettingsError(f"KEYS_DIR: cannot make {path}: {error.strerror}") from error


def revoke_named_token(keys_dir: Path, role: Role, name: str) -> None:
    """Remove the token of this name; the API notices within seconds.

    Raises:
        SettingsError: there is none of this name.
    """
    path = named_folder(keys_dir, role) / f"{_checked(name)}.token"
    try:
        path.unlink()
    except OSError as error:
        known = ", ".join(sorted(each.stem for each in path.parent.glob("*.token"))) or "none"
        raise SettingsError(f"there is no {role} token named {name!r}; known: {known}") from error


def named_token_files(keys_dir: Path, role: Role) -> Iterator[tuple[str, Path]]:
    """Name and file of each named token of a role; files whose names cannot be one are omitted."""
    for path in sorted(named_folder(keys_dir, role).glob("*.token")):
        if is_token_name(path.stem):
            yield path.stem, path


def is_token_name(name: str) -> bool:
    """True if a token may have this name: role names and `anonymous` are reserved."""
    return _NAME.fullmatch(name) is not None and name not in {ANONYMOUS, *map(str, Role)}


def _checked(name: str) -> str:
    if not is_token_name(name):
        raise SettingsError(
            f"{name[:64]!r} cannot name a token: write 1 to 64 of a-z, 0-9, '.', '_' and '-', "
            f"beginning with a letter or digit, and not {ANONYMOUS!r} nor the name of a role"
        )
    return name


def _make(path: Path) -> bool:
    return create_once(path, secrets.token_urlsafe(_TOKEN_BYTES).encode() + b"\n")
