"""Calls to the API by HTTP: reading with the console's token, deeds with the operator's."""

from collections.abc import Callable
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from shared.contracts.http import PERSON, Contract, ProblemBody, parse_contract, parse_if_agreed
from shared.errors import UnderstudyError

# A change waits for every worker, and a version may have to be read from a slow disk.
CHANGE_TIMEOUT_SECONDS = 60.0
# Limit of a response of the API; pages show much smaller ones.
MAX_ANSWER_BYTES = 16 * 1024 * 1024


class ApiAway(UnderstudyError):
    """Raised when the API does not answer, or answers something else than was asked for."""


class ChangeRefused(UnderstudyError):
    """Raised when the API does not carry out a change; nothing was changed."""


class Api:
    """The API at one address. Safe for threads."""

    def __init__(
        self,
        url: str,
        timeout_seconds: float,
        read_token: Callable[[], str],
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`read_token` gives the token to read with; empty where there is none yet."""
        self.url = url.rstrip("/")
        self._read_token = read_token
        self._timeout_seconds = timeout_seconds
        self._client = httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(timeout_seconds),
            follow_redirects=False,
            transport=transport,
            trust_env=False,
        )

    def close(self) -> None:
        self._client.close()

    def read(
        self,
        path: str,
        model: type[Contract],
        expected: tuple[int, ...] = (200,),
        absent: str = "",
        timeout_seconds: float | None = None,
    ) -> Contract | None:
        """The answer to a GET; None: it is the problem whose code is `absent`.

        Raises:
            ApiAway: no process answers, or the answer is an error.
            ContractBroken: the answer lacks what this release reads.
        """
        answer = self._get(path, timeout_seconds)
        if answer.status_code not in expected:
            problem = parse_if_agreed(ProblemBody, answer.content)
            if problem is not None and problem.code == absent:
                return None
            raise ApiAway(f"the API answers {answer.status_code} to {path}: {_detail(answer)}")
        return parse_contract(model, answer.content, path)

    def read_text(self, path: str) -> str:
        """The answer to a GET as text, such as that of /metrics.

        Raises:
            ApiAway: no process answers, or the answer is an error.
        """
        answer = self._get(path)
        if answer.status_code != httpx.codes.OK:
            raise ApiAway(f"the API answers {answer.status_code} to {path}")
        return answer.text

    def change(
        self, path: str, operator: "Operator", body: BaseModel | None, model: type[Contract]
    ) -> Contract:
        """The answer to a POST in the name of a person.

        Raises:
            ApiAway: no process answers; says whether it may have been carried out.
            ApiRefused: the answer is an error; says why.
            ContractBroken: the answer lacks what this release reads.
        """
        content = b"" if body is None else body.model_dump_json(exclude_none=True).encode()
        headers = {"Content-Type": "application/json", **operator.headers}
        try:
            answer = self._client.post(
                path, content=content, headers=headers, timeout=CHANGE_TIMEOUT_SECONDS
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise ApiAway(f"the API at {self.url} does not answer; nothing was changed") from error
        except httpx.HTTPError as error:
            raise ApiAway(
                f"no answer from the API ({type(error).__name__}); it may have been carried out: "
                "look at Now and Trail before you ask again"
            ) from error
        if not answer.is_success:
            raise ChangeRefused(_refusal(answer))
        return parse_contract(model, answer.content, path)

    def _get(self, path: str, timeout_seconds: float | None = None) -> httpx.Response:
        waits = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        token = self._read_token()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            with self._client.stream("GET", path, headers=headers, timeout=waits) as answer:
                return _within_limit(answer)
        except httpx.HTTPError as error:
            raise ApiAway(
                f"the API at {self.url} does not answer ({type(error).__name__})"
            ) from error


class Operator:
    """A person who changes something: their name, and the operator's token, typed for this."""

    __slots__ = ("headers", "person")

    def __init__(self, token: str, person: str) -> None:
        self.person = person
        self.headers = {"Authorization": f"Bearer {token}", PERSON: quote(person)}

    def __repr__(self) -> str:
        return f"Operator({self.person!r})"


def _within_limit(answer: httpx.Response) -> httpx.Response:
    raw = bytearray()
    for piece in answer.iter_bytes():
        raw += piece
        if len(raw) > MAX_ANSWER_BYTES:
            raise ApiAway(f"the API's answer to {answer.url.path} is too large for a page")
    return httpx.Response(answer.status_code, content=bytes(raw), request=answer.request)


def _refusal(answer: httpx.Response) -> str:
    detail = _detail(answer)
    if answer.status_code in {401, 403}:
        return f"this is not the operator's token ({detail}); nothing was changed"
    return f"{detail}; nothing was changed"


def _detail(answer: httpx.Response) -> str:
    problem = parse_if_agreed(ProblemBody, answer.content)
    return f"status {answer.status_code}" if problem is None else problem.detail
