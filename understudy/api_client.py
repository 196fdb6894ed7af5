"""Reading from the API, with an error that says what to do when it is not there."""

from typing import Any

import httpx

from shared.errors import UnderstudyError
from shared.keys.tokens import Role, read_token
from understudy.settings import CommandSettings

TIMEOUT_SECONDS = 5.0


class ApiNotThere(UnderstudyError):
    """Raised when the API does not answer, or answers something else than was asked for."""


def read_api(settings: CommandSettings, path: str, expected: tuple[int, ...] = (200,)) -> Any:
    """The JSON of a GET.

    Raises:
        ApiNotThere: nobody answers at API_URL, or the answer is an error.
    """
    url = settings.api_url.rstrip("/") + path
    try:
        answer = httpx.get(url, headers=_credentials(settings), timeout=TIMEOUT_SECONDS)
        if answer.status_code not in expected:
            raise ApiNotThere(f"{url} answers {answer.status_code}: {_detail(answer)}")
        return answer.json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ApiNotThere(
            f"the API at {settings.api_url} does not answer ({error}); "
            "start it with `understudy run`, or set API_URL"
        ) from error
    except ValueError as error:
        raise ApiNotThere(f"{url} does not answer JSON; is API_URL right?") from error


def _credentials(settings: CommandSettings) -> dict[str, str]:
    """Reading may be open; where it is not, the token lies beside the other keys."""
    try:
        return {"Authorization": f"Bearer {read_token(settings.keys_dir, Role.READ)}"}
    except (UnderstudyError, OSError):
        return {}


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase
