"""Access control: permission to read, logins, sessions, and the tokens that forms carry.

Sessions are in the memory of the console. The cookie of a visitor who has not logged in only names
the visitor, so that a form token can be bound to it; a login always gives a new one, so a cookie
that was planted before is worth nothing.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from shared.errors import SettingsError
from shared.keys.tokens import token_digest

COOKIE = "understudy_console"
MOST_SESSIONS = 200
"""Beyond it the session that was not used for longest ends."""

_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_BYTES = 32

FAILED_LOGINS_PER_MINUTE = 30
_MINUTE = 60.0


@dataclass(slots=True)
class _Session:
    used_at: float


class Sessions:
    """Sessions of logged-in visitors. Thread-safe; holds digests of cookies, not the cookies."""

    def __init__(self, idle_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._idle_seconds = idle_seconds
        self._now = now
        self._lock = Lock()
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()
        self._secret = secrets.token_bytes(_BYTES)

    def begin(self, old_cookie: str | None) -> str:
        """The cookie of a new session; the old one means nothing from now on."""
        self.end(old_cookie)
        cookie = new_cookie()
        with self._lock:
            self._sessions[_digest(cookie)] = _Session(self._now())
            while len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
        return cookie

    def end(self, cookie: str | None) -> None:
        if cookie is not None:
            with self._lock:
                self._sessions.pop(_digest(cookie), None)

    def is_logged_in(self, cookie: str | None) -> bool:
        """True if the session exists; using it keeps it alive."""
        if cookie is None:
            return False
        with self._lock:
            session = self._sessions.get(_digest(cookie))
            if session is None:
                return False
            if self._now() - session.used_at > self._idle_seconds:
                del self._sessions[_digest(cookie)]
                return False
            session.used_at = self._now()
            self._sessions.move_to_end(_digest(cookie))
            return True

    def form_token(self, cookie: str) -> str:
        """The token that a form sent with this cookie must carry."""
        return hmac.new(self._secret, cookie.encode(), hashlib.sha256).hexdigest()

    def accepts_form(self, cookie: str | None, token: str) -> bool:
        return cookie is not None and hmac.compare_digest(
            self.form_token(cookie).encode(), token.encode()
        )


def new_cookie() -> str:
    return secrets.token_urlsafe(_BYTES)


def cookie_of(header: str) -> str | None:
    """The cookie in a Cookie header; None: there is none, or it is not one of ours."""
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE and _COOKIE.fullmatch(value):
            return value
    return None


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()


class Access:
    """Reading is open, or needs a session; changes always need the operator's token besides."""

    def __init__(
        self,
        sessions: Sessions,
        token: Callable[[], str],
        *,
        reading_is_open: bool,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`token` gives the console's token, read at each login: a new one needs no restart."""
        self.sessions = sessions
        self.reading_is_open = reading_is_open
        self._token = token
        self._now = now
        self._failed: deque[float] = deque(maxlen=FAILED_LOGINS_PER_MINUTE)

    def is_logged_in(self, cookie_header: str) -> bool:
        return self.sessions.is_logged_in(cookie_of(cookie_header))

    def may_read(self, cookie_header: str) -> bool:
        return self.reading_is_open or self.is_logged_in(cookie_header)

    def refusal_of_form(self, cookie_header: str, token: str) -> str | None:
        """The reason a form is refused; None: it was made for this visitor."""
        if self.sessions.accepts_form(cookie_of(cookie_header), token):
            return None
        return "this form was made for another visitor or before a restart: load the page again"

    def refusal_of_token(self, offered: str) -> str | None:
        """The reason a login is refused; None: the token is right, which passes at any time."""
        try:
            known = token_digest(self._token().encode())
        except (SettingsError, OSError):
            return "the console's token cannot be read; see KEYS_DIR"
        if hmac.compare_digest(token_digest(offered.encode("utf-8", "replace")), known):
            return None
        now = self._now()
        if len(self._failed) == self._failed.maxlen and now - self._failed[0] < _MINUTE:
            return "too many attempts with a wrong token; try again in a minute"
        self._failed.append(now)
        return "this is not the token; `understudy token console` prints it"

    def log_in(self, cookie_header: str) -> str:
        """The cookie of the new session; never the one that came with the request."""
        return self.sessions.begin(cookie_of(cookie_header))

    def log_out(self, cookie_header: str) -> None:
        self.sessions.end(cookie_of(cookie_header))
