"""Access control: the credentials of callers, and a write quota of those without any.

Such a caller has a quota of bytes per second, and a reserve of the disk is kept from it. A row
costs more in the journal and the database than in its request; the charge is what it comes to at
most, roughly. Callers with a token are neither charged nor refused.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy import Engine

from api.http.auth import Authenticator, Limits
from api.http.callers import NamedTokens
from api.http.problems import JOURNAL_FULL, TOO_MANY, Problem
from api.settings import Settings, refuse_unnamed_reach
from shared.keys.tokens import API_ROLES, ensure_tokens, read_token
from shared.system.files import DiskSpace, disk_space

_log = structlog.get_logger()
# Bytes of decision, feature vector and indexes of a row with a minimal request.
ROW_BYTES = 1_000
# Every text of the request is stored twice: in the journal and in the database.
_COPIES = 2
# The unused quota of the last ten minutes may be used at once.
BURST_SECONDS = 600.0
# The reserve is at most 1/50 of a disk; a small disk has none.
_SMALLEST_SHARE = 50
_SMALL_DISK_BYTES = 1024**3
DISK_LOOK_SECONDS = 1.0


class WriteQuota:
    """One per process; `is_spent` is read before a row is accepted.

    Args:
        bytes_per_second: 0: no limit.
        reserve_bytes: kept free on the disks of these folders.
    """

    def __init__(
        self,
        bytes_per_second: int,
        reserve_bytes: int,
        folders: Sequence[Path],
        now: Callable[[], float] = time.monotonic,
        space: Callable[[Path], DiskSpace | None] = disk_space,
    ) -> None:
        self._seconds_per_byte = 1 / bytes_per_second if bytes_per_second else 0.0
        self._reserve_bytes = reserve_bytes
        self._folders = folders
        self._now = now
        self._space = space
        # the instant at which the quota is full again
        self._even_at = now()
        self.is_disk_low = False
        self.is_spent = False

    def charge(self, body: bytes) -> None:
        """Charge the rows of this body."""
        cost = ROW_BYTES * (body.count(b"{") or 1) + _COPIES * len(body)
        now = self._now()
        even_at = self._even_at
        # not max(): it is called for every row, and takes four times as long
        self._even_at = (max(now, even_at)) + cost * self._seconds_per_byte
        if self._even_at - now > BURST_SECONDS:
            self.is_spent = True

    def check(self) -> None:
        """Refuse a row that may not be written now.

        Raises:
            Problem: 429 with the time to wait, or 503 while the disk is low.
        """
        if not self.is_spent:
            return
        if self.is_disk_low:
            self.look()
        if self.is_disk_low:
            detail = "the disk is nearly full, and the rest of it is for callers with a token"
            raise Problem(JOURNAL_FULL, detail, headers={"Retry-After": "5"})
        wait_seconds = self._even_at - self._now() - BURST_SECONDS
        if wait_seconds > 0:
            seconds = math.ceil(wait_seconds)
            raise Problem(
                TOO_MANY,
                f"callers without a token wrote too much; retry in {seconds} s, or send a token",
                headers={"Retry-After": str(seconds)},
            )
        self.is_spent = False

    def look(self) -> None:
        """Look at the disks."""
        was_low = self.is_disk_low
        self.is_disk_low = any(self._is_low(folder) for folder in self._folders)
        if self.is_disk_low:
            self.is_spent = True
        if self.is_disk_low != was_low:
            _log.warning(
                "disk_is_low" if self.is_disk_low else "disk_has_room",
                reserve_bytes=self._reserve_bytes,
                effect="callers without a token are refused" if self.is_disk_low else "none",
            )

    def _is_low(self, folder: Path) -> bool:
        if not self._reserve_bytes:
            return False
        space = self._space(folder)
        if space is None or space.total_bytes < _SMALL_DISK_BYTES:
            return False
        reserve = min(self._reserve_bytes, space.total_bytes // _SMALLEST_SHARE)
        return space.free_bytes < reserve


def _write_quota(settings: Settings, engine: Engine) -> WriteQuota:
    """The quota that the settings ask for."""
    folders = [settings.journal_dir]
    if engine.dialect.name == "sqlite" and engine.url.database:
        folders.append(Path(engine.url.database).parent)
    return WriteQuota(settings.anonymous_bytes_per_second, settings.disk_reserve_bytes, folders)


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
    return AccessControl(authenticator, _write_quota(settings, engine))
