"""Delivers one notification by HTTP, within a limit of time that covers everything."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
from pydantic import SecretStr

from shared.errors import UnderstudyError

_SHOWN = 200


class NotDelivered(UnderstudyError):
    """Raised when the receiver does not take it; never repeats the address, which is a secret.

    Attributes:
        is_away: it does not answer at all, so that others need not be tried now.
    """

    def __init__(self, why: str, *, is_away: bool) -> None:
        super().__init__(why)
        self.is_away = is_away


class NotificationWebhook:
    """The receiver at NOTIFY_URL."""

    def __init__(self, url: SecretStr, timeout_seconds: float) -> None:
        self._url = url
        self._timeout_seconds = timeout_seconds

    def deliver(self, body: Mapping[str, Any]) -> None:
        """POST it as JSON; any 2xx is a delivery.

        Raises:
            NotDelivered: says why, without the address.
        """
        # One timeout for connect, send and response: with a timeout for each, a receiver that
        # sends a byte a minute would never exceed one.
        try:
            status = asyncio.run(asyncio.wait_for(self._post(body), self._timeout_seconds))
        except TimeoutError as error:
            why = f"no answer within {self._timeout_seconds:g} s"
            raise NotDelivered(why, is_away=True) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise NotDelivered(self._masked(error), is_away=True) from error
        if not 200 <= status < 300:
            raise NotDelivered(f"the receiver answered {status}", is_away=status >= 500)

    async def _post(self, body: Mapping[str, Any]) -> int:
        async with (
            httpx.AsyncClient(timeout=self._timeout_seconds, follow_redirects=False) as client,
            client.stream("POST", self._url.get_secret_value(), json=dict(body)) as answer,
        ):
            # the status is enough: the body is not read
            return answer.status_code

    def _masked(self, error: Exception) -> str:
        """The error without any part of the address but its host."""
        text = str(error).replace(self._url.get_secret_value(), "NOTIFY_URL")
        path = httpx.URL(self._url.get_secret_value()).raw_path.decode(errors="replace")
        if len(path) > 1:
            text = text.replace(path, "/...")
        return f"{type(error).__name__}: {text}"[:_SHOWN]
