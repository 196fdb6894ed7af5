"""Reading from the API, with an error that says what to do when it is not there."""

import httpx

from shared.contracts.problems import ProblemBody
from shared.contracts.reading import Contract, parse_contract, parse_if_agreed
from shared.errors import UnderstudyError
from shared.keys.tokens import Role, read_token
from understudy.settings import CommandSettings

TIMEOUT_SECONDS = 5.0


class ApiNotThere(UnderstudyError):
    """Raised when the API does not answer, or answers something else than was asked for."""


def read_api(
    settings: CommandSettings,
    path: str,
    model: type[Contract],
    expected: tuple[int, ...] = (200,),
) -> Contract:
    """The answer to a GET.

    Raises:
        ApiNotThere: no process answers at API_URL, or the answer is an error.
        ContractBroken: the answer lacks what this release reads.
    """
    url = settings.api_url.rstrip("/") + path
    try:
        answer = httpx.get(url, headers=_credentials(settings), timeout=TIMEOUT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ApiNotThere(
            f"the API at {settings.api_url} does not answer ({error}); "
            "start it with `understudy run`, or set API_URL"
        ) from error
    if answer.status_code not in expected:
        raise ApiNotThere(f"{url} answers {answer.status_code}: {_detail(answer)}")
    return parse_contract(model, answer.content, url)


def _credentials(settings: CommandSettings) -> dict[str, str]:
    """Reading may be open; where it is not, the token lies beside the other keys."""
    try:
        return {"Authorization": f"Bearer {read_token(settings.keys_dir, Role.READ)}"}
    except (UnderstudyError, OSError):
        return {}


def _detail(answer: httpx.Response) -> str:
    problem = parse_if_agreed(ProblemBody, answer.content)
    return answer.reason_phrase if problem is None else problem.detail
