"""Builds what decides whether a request is let in."""

from dataclasses import dataclass

import structlog
from sqlalchemy import Engine

from api.http.auth import Authenticator, Limits
from api.http.callers import NamedTokens
from api.http.write_quota import WriteQuota, write_quota
from api.settings import Settings, refuse_unnamed_reach
from shared.keys.tokens import API_ROLES, ensure_tokens, read_token

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AccessControl:
    """Credentials of callers, and how much callers without any may write."""

    authenticator: Authenticator
    write_quota: WriteQuota


def build_access(settings: Settings, engine: Engine) -> AccessControl:
    """Makes the tokens that are not there yet.

    Raises:
        SettingsError: a token cannot be read or made, or the reach is not stated.
    """
    refuse_unnamed_reach(settings)
    made = ensure_tokens(settings.keys_dir, API_ROLES)
    if made and settings.store_url is not None:
        _log.warning(
            "tokens_made_here",
            roles=", ".join(made),
            remedy="give every host the same files below KEYS_DIR: a token of this host opens no "
            "other",
        )
    tokens = {role: read_token(settings.keys_dir, role) for role in API_ROLES}
    authenticator = Authenticator(
        tokens,
        Limits.per_minute(settings.failed_attempts_per_minute, settings.changes_per_minute),
        scoring_open=settings.scoring_auth == "off",
        trust_anonymous=settings.open_scoring_reach != "anywhere",
        # a forwarded request comes from another machine than this one
        trust_forwarded=settings.open_scoring_reach != "loopback",
        named=NamedTokens(settings.keys_dir, API_ROLES),
        person_required=settings.person_required,
    )
    return AccessControl(authenticator, write_quota(settings, engine))
