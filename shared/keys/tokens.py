"""Tokens, one for each role; made at first start, never defaults."""

import secrets
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from shared.errors import SettingsError
from shared.keys.files import create_once

# 32 random bytes: guessing is hopeless, so a fast comparison of digests is enough.
_TOKEN_BYTES = 32


class Role(StrEnum):
    """Who may do what; see DESIGN §5."""

    SCORER = "scorer"
    READ = "read"
    PUSH = "push"
    OPERATOR = "operator"
    ALERT = "alert"
    TRIGGER = "trigger"


API_ROLES = (Role.SCORER, Role.READ, Role.PUSH, Role.OPERATOR, Role.ALERT, Role.TRIGGER)


def token_path(keys_dir: Path, role: Role) -> Path:
    """The push token has a folder of its own, the only one both services share."""
    folder = "push" if role is Role.PUSH else "api"
    return keys_dir / folder / f"{role}.token"


def ensure_tokens(keys_dir: Path, roles: Iterable[Role]) -> None:
    """Make the tokens that are not there yet."""
    for role in roles:
        content = secrets.token_urlsafe(_TOKEN_BYTES).encode() + b"\n"
        create_once(token_path(keys_dir, role), content)


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
