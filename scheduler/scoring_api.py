"""The scoring API as seen from here: what serves, is it well, and the push of a bundle.

Every call has a timeout. Only a connection that could not be made is retried: whatever may
have reached the API is looked at with `current()` instead of being sent twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from shared.bundle.archive import MAX_BUNDLE_BYTES
from shared.bundle.version import Version
from shared.errors import UnderstudyError

NO_MODEL = "no-model"
IMMEDIATE = "immediate"
CONNECT_TIMEOUT_SECONDS = 3.0
CONNECT_RETRIES = 2


class ApiUnavailable(UnderstudyError):
    """Raised when the API did not answer, or not in a way that can be understood."""


class BundleRefused(UnderstudyError):
    """Raised when the API answered, but not with a bundle; carries its own words."""


@dataclass(frozen=True, slots=True)
class SignedBundle:
    """A bundle as the API has it; nothing about it has been verified yet."""

    raw: bytes
    signature: str


@dataclass(frozen=True, slots=True)
class Serving:
    """The model the API serves now.

    Attributes:
        on_trial: the version that is rolled out beside it, if there is one.
    """

    version: str
    sha256: str | None
    on_trial: str | None = None

    def has(self, version: str) -> bool:
        """Whether a push of this version arrived and is in force."""
        return version in {self.version, self.on_trial}


@dataclass(frozen=True, slots=True)
class Probe:
    """One health route's answer; `state` is what the body says of itself, if anything."""

    path: str
    status: int
    milliseconds: float
    state: str | None = None


@dataclass(frozen=True, slots=True)
class PushAnswer:
    """What the API answered to a push; `detail` is its own words when it refused.

    Attributes:
        partial: which of its workers do not serve the version, and why; None: all do.
    """

    status: int
    version: str | None
    previous: str | None
    activated_at: str | None
    detail: str
    partial: str | None = None

    @property
    def accepted(self) -> bool:
        return self.status == httpx.codes.OK


@dataclass(frozen=True, slots=True)
class StepAnswer:
    """What the API said to a step of a rollout."""

    status: int
    detail: str

    @property
    def accepted(self) -> bool:
        return self.status == httpx.codes.OK


class ScoringApi(Protocol):
    """What the cycle needs of the API. All methods raise ApiUnavailable."""

    def current(self) -> Serving | None:
        """What serves now; None when there is no model yet."""
        ...

    def known_versions(self) -> frozenset[Version]:
        """Every version the API has ever accepted, as far as it tells."""
        ...

    def bundle(self, version: str) -> SignedBundle:
        """The signed bytes of a version.

        Raises:
            BundleRefused: the API answers, and has no such bundle for us.
        """
        ...

    def probe(self, path: str) -> Probe: ...

    def push(self, raw: bytes, signature: str, fencing_number: int | None = None) -> PushAnswer: ...


class HttpScoringApi:
    """The API behind a URL."""

    def __init__(
        self,
        base_url: str,
        push_token: str,
        timeout_seconds: float,
        push_timeout_seconds: float,
        rollout: str = IMMEDIATE,
    ) -> None:
        self._rollout = rollout
        self._push_timeout = httpx.Timeout(push_timeout_seconds, connect=CONNECT_TIMEOUT_SECONDS)
        self._client = httpx.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {push_token}"},
            timeout=httpx.Timeout(timeout_seconds, connect=CONNECT_TIMEOUT_SECONDS),
            # httpx retries connection errors only, never a request that was sent
            transport=httpx.HTTPTransport(retries=CONNECT_RETRIES),
        )

    def close(self) -> None:
        self._client.close()

    def current(self) -> Serving | None:
        response = self._get("/current_model")
        body = _members(response)
        if response.is_success and isinstance(body.get("version"), str):
            digest = body.get("sha256")
            rollout = body.get("rollout")
            on_trial = rollout.get("version") if isinstance(rollout, dict) else None
            return Serving(body["version"], digest if isinstance(digest, str) else None, on_trial)
        if str(body.get("type", "")).endswith(NO_MODEL):
            return None
        raise ApiUnavailable(f"GET /current_model answered {response.status_code}")

    def known_versions(self) -> frozenset[Version]:
        response = self._get("/models")
        if not response.is_success:
            raise ApiUnavailable(f"GET /models answered {response.status_code}")
        models = _members(response).get("models", [])
        texts = [entry.get("version") for entry in models if isinstance(entry, dict)]
        return frozenset(Version.parse(text) for text in texts if isinstance(text, str))

    def bundle(self, version: str) -> SignedBundle:
        path, raw = f"/models/{version}/bundle", bytearray()
        try:
            with self._client.stream("GET", path, timeout=self._push_timeout) as response:
                for chunk in response.iter_bytes():
                    raw += chunk
                    if len(raw) > MAX_BUNDLE_BYTES:
                        raise BundleRefused(f"GET {path} answered more than a bundle may have")
        except httpx.HTTPError as error:
            raise ApiUnavailable(f"GET {path}: {_cause(error)}") from error
        if response.status_code != httpx.codes.OK:
            raise BundleRefused(f"GET {path} answered {response.status_code}")
        return SignedBundle(bytes(raw), response.headers.get("X-Bundle-Signature", ""))

    def probe(self, path: str) -> Probe:
        response = self._get(path)
        state = _members(response).get("status")
        return Probe(
            path,
            response.status_code,
            response.elapsed.total_seconds() * 1_000,
            state if isinstance(state, str) else None,
        )

    def push(self, raw: bytes, signature: str, fencing_number: int | None = None) -> PushAnswer:
        headers = {"Content-Type": "application/octet-stream", "X-Bundle-Signature": signature}
        if self._rollout != IMMEDIATE:
            headers["X-Rollout"] = self._rollout
        if fencing_number is not None:
            headers["X-Fencing-Number"] = str(fencing_number)
        try:
            response = self._client.post(
                "/update_model", content=raw, headers=headers, timeout=self._push_timeout
            )
        except httpx.HTTPError as error:
            raise ApiUnavailable(f"POST /update_model: {_cause(error)}") from error
        body = _members(response)
        return PushAnswer(
            status=response.status_code,
            version=body.get("version"),
            previous=body.get("previous"),
            activated_at=body.get("activated_at"),
            detail=str(body.get("detail", ""))[:500],
            partial=_partial(body),
        )

    def rollout(self) -> Mapping[str, Any] | None:
        """What GET /current_model shows of a version on trial; None: there is none."""
        response = self._get("/current_model")
        body = _members(response)
        if not response.is_success and not str(body.get("type", "")).endswith(NO_MODEL):
            raise ApiUnavailable(f"GET /current_model answered {response.status_code}")
        shown = body.get("rollout")
        return shown if isinstance(shown, dict) else None

    def update_rollout(
        self, body: Mapping[str, Any], fencing_number: int | None = None
    ) -> StepAnswer:
        """POST /update_rollout."""
        headers = {} if fencing_number is None else {"X-Fencing-Number": str(fencing_number)}
        try:
            response = self._client.post("/update_rollout", json=dict(body), headers=headers)
        except httpx.HTTPError as error:
            raise ApiUnavailable(f"POST /update_rollout: {_cause(error)}") from error
        detail = str(_members(response).get("detail", ""))[:500]
        return StepAnswer(response.status_code, detail)

    def _get(self, path: str) -> httpx.Response:
        try:
            return self._client.get(path)
        except httpx.HTTPError as error:
            raise ApiUnavailable(f"GET {path}: {_cause(error)}") from error


def _partial(body: dict[str, Any]) -> str | None:
    """An API of several workers says which of them could not follow."""
    workers = body.get("workers")
    if body.get("partial") is not True or not isinstance(workers, dict):
        return None
    failed = workers.get("failed") or []
    told = [f"worker {one.get('worker')}: {one.get('reason')}" for one in failed]
    serving = f"{workers.get('serving')} of {workers.get('total')} workers serve it"
    return "; ".join([serving, *told])[:500]


def _members(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of a body; empty when it is anything else."""
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _cause(error: httpx.HTTPError) -> str:
    return f"{type(error).__name__} {error}".strip()
