"""Calls to the API, with an error that says what to do when it is not there or refuses."""

import getpass

import httpx
from pydantic import BaseModel

from shared.contracts.http import Contract, ProblemBody, parse_contract, parse_if_agreed
from shared.contracts.people import person_header
from shared.errors import SettingsError, UnderstudyError
from shared.keys.tokens import Role, read_token
from understudy.settings import CommandSettings

TIMEOUT_SECONDS = 5.0
# A rollback waits for every worker, and a version may have to be read from a slow disk.
CHANGE_TIMEOUT_SECONDS = 60.0
_NOT_LET_IN = frozenset({401, 403})


class ApiNotThere(UnderstudyError):
    """Raised when the API does not answer, or answers something else than was asked for."""


class ApiRefused(UnderstudyError):
    """Raised when the API does not carry out a change; nothing was changed."""


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
        answer = httpx.get(url, headers=read_credentials(settings), timeout=TIMEOUT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _not_there(settings, error) from error
    if answer.status_code not in expected:
        told = f"{url} answers {answer.status_code}: {_detail(answer)}"
        is_ours = parse_if_agreed(ProblemBody, answer.content) is not None
        raise ApiNotThere(told if is_ours else f"{told}; set API_URL to the address of the API")
    return parse_contract(model, answer.content, url)


def change_api(
    settings: CommandSettings,
    path: str,
    role: Role,
    body: BaseModel | None,
    model: type[Contract],
    *,
    person: str | None = None,
) -> Contract:
    """The answer to a POST with the token of a role, in a person's name if one is given.

    Raises:
        SettingsError: the token of that role is not in KEYS_DIR, or the name is none.
        ApiNotThere: no process answers at API_URL.
        ApiRefused: the answer is an error; says why.
        ContractBroken: the answer lacks what this release reads.
    """
    url, token = settings.api_url.rstrip("/") + path, read_token(settings.keys_dir, role)
    content = None if body is None else body.model_dump_json(exclude_none=True).encode()
    is_basic = role is Role.TRIGGER
    try:
        answer = httpx.post(
            url,
            content=content,
            headers={
                "Content-Type": "application/json",
                **({} if person is None else _named(person)),
                **({} if is_basic else {"Authorization": f"Bearer {token}"}),
            },
            auth=("operator", token) if is_basic else None,
            timeout=CHANGE_TIMEOUT_SECONDS,
        )
    except (httpx.ConnectError, httpx.InvalidURL) as error:
        raise _not_there(settings, error) from error
    except httpx.HTTPError as error:
        raise ApiNotThere(
            f"no answer from {url} ({type(error).__name__}); it may have been carried out: see "
            "`understudy status` and `understudy audit` before asking again"
        ) from error
    if not answer.is_success:
        raise ApiRefused(f"{path} answers {answer.status_code}: {_detail(answer)}{_hint(answer)}")
    return parse_contract(model, answer.content, url)


def user_name() -> str:
    """The user who runs the command, by the operating system; `unknown` where it has no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _named(person: str) -> dict[str, str]:
    try:
        return person_header(person)
    except ValueError as error:
        raise SettingsError(f"--as {person[:64]!r}: {error}") from error


def _not_there(settings: CommandSettings, error: Exception) -> ApiNotThere:
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return ApiNotThere(
            f"the API at {settings.api_url} has not answered in time ({error}): it runs, and is "
            "busy; ask again, and see `understudy status`"
        )
    return ApiNotThere(
        f"the API at {settings.api_url} does not answer ({error}); "
        "start it with `understudy run`, or set API_URL"
    )


def _hint(answer: httpx.Response) -> str:
    if answer.status_code not in _NOT_LET_IN:
        return ""
    return "; KEYS_DIR has to be the folder of the keys of the API at API_URL"


def read_credentials(settings: CommandSettings) -> dict[str, str]:
    """Reading may be open; where it is not, the token lies beside the other keys."""
    try:
        return {"Authorization": f"Bearer {read_token(settings.keys_dir, Role.READ)}"}
    except (UnderstudyError, OSError):
        return {}


def _detail(answer: httpx.Response) -> str:
    problem = parse_if_agreed(ProblemBody, answer.content)
    return answer.reason_phrase if problem is None else problem.detail
