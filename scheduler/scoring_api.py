"""The scoring API as seen from here: its live version, its health, and the push of a bundle.

Every call has a timeout. Only a connection that could not be made is retried: whatever may
have reached the API is examined with `current()` instead of being sent twice.
"""

from dataclasses import dataclass
from typing import Protocol

import httpx

from shared.bundle.archive import MAX_BUNDLE_BYTES
from shared.bundle.version import Version
from shared.contracts.health import HealthStatus
from shared.contracts.http import (
    BUNDLE_SIGNATURE,
    FENCING_NUMBER,
    NO_MODEL_CODE,
    ROLLOUT,
    Contract,
    ContractBroken,
    ProblemBody,
    parse_contract,
    parse_if_agreed,
)
from shared.contracts.models import CurrentModel, ModelChanged, Models
from shared.contracts.people import AuditTrailView
from shared.contracts.rollouts import Mode, RolloutRequest, RolloutView
from shared.errors import UnderstudyError
from shared.tracing.spans import TRACEPARENT, current_context

_DETAIL_CHARACTERS = 500
CONNECT_TIMEOUT_SECONDS = 3.0
CONNECT_RETRIES = 2


class ApiUnavailable(UnderstudyError):
    """Raised when the API did not answer, or not in a way that can be understood."""


class BundleRefused(UnderstudyError):
    """Raised when the API answered, but not with a bundle; carries the API's text."""


@dataclass(frozen=True, slots=True)
class SignedBundle:
    """A bundle as the API has it; nothing about it has been verified yet."""

    raw: bytes
    signature: str


@dataclass(frozen=True, slots=True)
class OnTrial:
    """A version that is rolled out beside the live one."""

    version: str
    mode: Mode
    share_percent: int

    def __str__(self) -> str:
        if self.mode is Mode.SHADOW:
            return "shadow: it scores copies of rows and answers none"
        return f"canary: {self.share_percent} % of users get its answers"


@dataclass(frozen=True, slots=True)
class Serving:
    """The model the API serves now.

    Attributes:
        on_trial: the version that is rolled out beside it, if there is one.
    """

    version: str
    sha256: str | None
    on_trial: OnTrial | None = None

    def tries(self, version: str) -> bool:
        """True if this version is being rolled out."""
        return self.on_trial is not None and self.on_trial.version == version


@dataclass(frozen=True, slots=True)
class Probe:
    """One health route's answer; `state` is what the body says of itself, if anything."""

    path: str
    status: int
    milliseconds: float
    state: str | None = None


@dataclass(frozen=True, slots=True)
class PushAnswer:
    """The API's answer to a push; `detail` is its text when it refused.

    Attributes:
        partial: the workers that do not serve the version, and why; None: all do.
        rollout: how the version came into service; IMMEDIATE: it is the live one.
    """

    status: int
    version: str | None
    previous: str | None
    activated_at: str | None
    detail: str
    partial: str | None = None
    rollout: Mode = Mode.IMMEDIATE

    @property
    def accepted(self) -> bool:
        return self.status == httpx.codes.OK


@dataclass(frozen=True, slots=True)
class StepAnswer:
    """The API's answer to a step of a rollout."""

    status: int
    detail: str

    @property
    def accepted(self) -> bool:
        return self.status == httpx.codes.OK


class ScoringApi(Protocol):
    """The part of the API that the cycle uses. All methods raise ApiUnavailable."""

    def current(self) -> Serving | None:
        """The live version now; None when there is no model yet."""
        ...

    def known_versions(self) -> frozenset[Version]:
        """Every version the API has ever accepted, as far as it reports them."""
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
        rollout: str = Mode.IMMEDIATE,
    ) -> None:
        self._rollout = rollout
        self._push_timeout = httpx.Timeout(push_timeout_seconds, connect=CONNECT_TIMEOUT_SECONDS)
        self._client = httpx.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {push_token}"},
            timeout=httpx.Timeout(timeout_seconds, connect=CONNECT_TIMEOUT_SECONDS),
            # httpx retries connection errors only, never a request that was sent
            transport=httpx.HTTPTransport(retries=CONNECT_RETRIES),
            event_hooks={"request": [_name_trace]},
        )

    def close(self) -> None:
        self._client.close()

    def current(self) -> Serving | None:
        found = self.current_model()
        if found is None:
            return None
        rollout = found.rollout
        on_trial = None
        if rollout is not None:
            on_trial = OnTrial(rollout.version, rollout.mode, rollout.share_percent)
        return Serving(found.version, found.sha256, on_trial)

    def known_versions(self) -> frozenset[Version]:
        return frozenset(Version.parse(model.version) for model in self.models().models)

    def models(self) -> Models:
        """GET /models: every version and its state."""
        response = self._get("/models")
        if not response.is_success:
            raise ApiUnavailable(f"GET /models answered {response.status_code}")
        return _agreed(Models, response)

    def audit(self, limit: int) -> AuditTrailView:
        """GET /audit: the newest lines of the trail."""
        path = f"/audit?limit={limit}"
        response = self._get(path)
        if not response.is_success:
            raise ApiUnavailable(f"GET /audit answered {response.status_code}")
        return _agreed(AuditTrailView, response)

    def bundle(self, version: str) -> SignedBundle:
        path = f"/models/{version}/bundle"
        try:
            with self._client.stream("GET", path, timeout=self._push_timeout) as response:
                raw = _read_at_most(MAX_BUNDLE_BYTES, response, path)
        except httpx.HTTPError as error:
            raise ApiUnavailable(f"GET {path}: {_cause(error)}") from error
        if response.status_code != httpx.codes.OK:
            raise BundleRefused(f"GET {path} answered {response.status_code}")
        return SignedBundle(raw, response.headers.get(BUNDLE_SIGNATURE, ""))

    def probe(self, path: str) -> Probe:
        response = self._get(path)
        if response.is_success:
            said: HealthStatus | None = _agreed(HealthStatus, response)
        else:
            said = parse_if_agreed(HealthStatus, response.content)
        milliseconds = response.elapsed.total_seconds() * 1_000
        state = None if said is None else said.status
        return Probe(path, response.status_code, milliseconds, state)

    def push(self, raw: bytes, signature: str, fencing_number: int | None = None) -> PushAnswer:
        headers = {"Content-Type": "application/octet-stream", BUNDLE_SIGNATURE: signature}
        if self._rollout != Mode.IMMEDIATE:
            headers[ROLLOUT] = self._rollout
        if fencing_number is not None:
            headers[FENCING_NUMBER] = str(fencing_number)
        try:
            response = self._client.post(
                "/update_model", content=raw, headers=headers, timeout=self._push_timeout
            )
        except httpx.HTTPError as error:
            raise ApiUnavailable(f"POST /update_model: {_cause(error)}") from error
        if not response.is_success:
            return PushAnswer(response.status_code, None, None, None, _detail(response))
        changed = _agreed(ModelChanged, response)
        return PushAnswer(
            status=response.status_code,
            version=changed.version,
            previous=changed.previous,
            activated_at=changed.activated_at,
            detail="",
            partial=_partial(changed),
            rollout=changed.rollout,
        )

    def rollout(self) -> RolloutView | None:
        """The trial in the answer of GET /current_model; None: there is none."""
        found = self.current_model()
        return None if found is None else found.rollout

    def update_rollout(
        self, request: RolloutRequest, fencing_number: int | None = None
    ) -> StepAnswer:
        """POST /update_rollout."""
        headers = {} if fencing_number is None else {FENCING_NUMBER: str(fencing_number)}
        body = request.model_dump(mode="json", exclude_none=True)
        try:
            response = self._client.post("/update_rollout", json=body, headers=headers)
        except httpx.HTTPError as error:
            raise ApiUnavailable(f"POST /update_rollout: {_cause(error)}") from error
        return StepAnswer(response.status_code, "" if response.is_success else _detail(response))

    def current_model(self) -> CurrentModel | None:
        """GET /current_model; None: there is no model yet."""
        response = self._get("/current_model")
        if response.is_success:
            return _agreed(CurrentModel, response)
        problem = parse_if_agreed(ProblemBody, response.content)
        if problem is not None and problem.code == NO_MODEL_CODE:
            return None
        raise ApiUnavailable(f"GET /current_model answered {response.status_code}")

    def _get(self, path: str) -> httpx.Response:
        try:
            return self._client.get(path)
        except httpx.HTTPError as error:
            raise ApiUnavailable(f"GET {path}: {_cause(error)}") from error


def _name_trace(request: httpx.Request) -> None:
    """The API's part of the work belongs to the same trace."""
    context = current_context()
    if context is not None:
        request.headers[TRACEPARENT] = context.traceparent


def _partial(changed: ModelChanged) -> str | None:
    """An API of several workers says which of them could not follow."""
    if not changed.partial:
        return None
    workers = changed.workers
    reasons = [f"worker {one.worker}: {one.reason}" for one in workers.failed]
    serving = f"{workers.serving} of {workers.total} workers serve it"
    return "; ".join([serving, *reasons])[:_DETAIL_CHARACTERS]


def _read_at_most(limit_bytes: int, response: httpx.Response, path: str) -> bytes:
    raw = bytearray()
    for chunk in response.iter_bytes():
        raw += chunk
        if len(raw) > limit_bytes:
            raise BundleRefused(f"GET {path} answered more than a bundle may have")
    return bytes(raw)


def _agreed(model: type[Contract], response: httpx.Response) -> Contract:
    request = f"{response.request.method} {response.request.url.path}"
    try:
        return parse_contract(model, response.content, request)
    except ContractBroken as error:
        raise ApiUnavailable(str(error)) from error


def _detail(response: httpx.Response) -> str:
    """The reason of a refusal: the API's text, or the status that a proxy before it returned."""
    problem = parse_if_agreed(ProblemBody, response.content)
    return (response.reason_phrase if problem is None else problem.detail)[:_DETAIL_CHARACTERS]


def _cause(error: httpx.HTTPError) -> str:
    return f"{type(error).__name__} {error}".strip()
