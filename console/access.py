"""Access control: permission to read, logins, and the protection of forms."""

import hmac
import time
from collections import deque
from collections.abc import Callable

from console.sessions import Sessions, cookie_of, new_cookie
from shared.errors import SettingsError
from shared.keys.tokens import token_digest

FAILED_LOGINS_PER_MINUTE = 30
_MINUTE = 60.0


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

    def cookie(self, cookie_header: str) -> str | None:
        return cookie_of(cookie_header)

    def new_visitor(self) -> str:
        return new_cookie()

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
