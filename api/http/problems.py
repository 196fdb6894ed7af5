"""Problem details (RFC 9457): one catalogue of stable types, one exception, one body."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from shared.contracts.http import NO_MODEL_CODE, PROBLEM_TYPE, FieldProblem
from shared.tracing.spans import current_context

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One kind of problem; `code` never changes once published."""

    code: str
    status: int
    title: str

    @property
    def type(self) -> str:
        return PROBLEM_TYPE + self.code


MALFORMED = ProblemKind("malformed-request", 400, "The request is not valid HTTP/1.1")
NO_CREDENTIALS = ProblemKind("no-credentials", 401, "Credentials are missing or wrong")
WRONG_ROLE = ProblemKind("wrong-role", 403, "These credentials do not permit this")
FOREIGN_ORIGIN = ProblemKind("foreign-origin", 403, "Pages of this origin may not do this")
BAD_SIGNATURE = ProblemKind("bad-signature", 403, "No trusted key signed this bundle")
NOT_FOUND = ProblemKind("not-found", 404, "No route has this path")
UNKNOWN_VERSION = ProblemKind("unknown-version", 404, "There is no such version")
UNKNOWN_ROW = ProblemKind("unknown-row", 404, "There is no decision about this row")
UNKNOWN_RUN = ProblemKind("unknown-run", 404, "There is no such training run")
METHOD_NOT_ALLOWED = ProblemKind(
    "method-not-allowed", 405, "This path does not support this method"
)
TOO_SLOW = ProblemKind("request-too-slow", 408, "The request did not arrive in time")
RUN_OVER = ProblemKind("run-over", 409, "This run has ended")
REPLAY_UNFINISHED = ProblemKind("replay-unfinished", 409, "Another replay is not over yet")
VERSION_CONFLICT = ProblemKind(
    "version-conflict", 409, "This version is not newer than what was accepted"
)
STALE_FENCING = ProblemKind("stale-fencing-number", 409, "A newer scheduler has pushed since")
NO_ROLLOUT = ProblemKind("no-rollout", 409, "No version is being rolled out")
ROLLOUT_CONFLICT = ProblemKind("rollout-conflict", 409, "The rollout does not allow this now")
NO_FALLBACK = ProblemKind("no-fallback", 409, "There is no version to roll back to")
IDEMPOTENCY_CONFLICT = ProblemKind(
    "idempotency-conflict", 409, "This id was decided with another payload"
)
NO_REASONS = ProblemKind("no-reasons", 409, "The live version cannot explain its answers")
NOT_WAITING = ProblemKind("not-waiting", 409, "No such candidate waits for approval")
VERSION_CHANGED = ProblemKind("version-changed", 409, "Another version is live by now")
ORDER_EXPIRED = ProblemKind(
    "order-expired", 409, "The request waited for too long and was not carried out"
)
TOO_LARGE = ProblemKind("too-large", 413, "The request is larger than the limit")
ADDRESS_TOO_LONG = ProblemKind("address-too-long", 414, "The address is longer than the limit")
UNSUPPORTED_MEDIA = ProblemKind(
    "unsupported-media-type", 415, "The media type of the body is not supported"
)
WRONG_HOST = ProblemKind("wrong-host", 421, "This service does not have that host name")
INVALID_REQUEST = ProblemKind("invalid-request", 422, "The request does not validate")
BUNDLE_MALFORMED = ProblemKind("bundle-malformed", 422, "The bundle does not follow the format")
MODEL_UNUSABLE = ProblemKind(
    "model-unusable", 422, "The bundle is authentic, but its model does not work"
)
TOO_MANY = ProblemKind("too-many-requests", 429, "Too many requests of this kind")
HEADERS_TOO_LARGE = ProblemKind("headers-too-large", 431, "The headers are larger than the limit")
INTERNAL = ProblemKind("internal-error", 500, "The service failed; the log has the details")
SCORING_FAILED = ProblemKind("scoring-failed", 500, "The model gave no usable score")
REGISTRY_FAILED = ProblemKind("registry-failed", 500, "The registry could not be written")
NO_MODEL = ProblemKind(NO_MODEL_CODE, 503, "No model is served yet")
WORKER_UNAVAILABLE = ProblemKind(
    "worker-unavailable", 503, "The worker that keeps this entity does not answer now"
)
JOURNAL_FULL = ProblemKind(
    "journal-full", 503, "The decision could not be recorded, so none was made"
)
COMMIT_TIMEOUT = ProblemKind(
    "commit-timeout", 503, "The decision is not committed in the database yet"
)
VERSION_UNKNOWN = ProblemKind(
    "version-unknown", 503, "The version that decided this row is not on this host"
)
DECISION_REFUSED = ProblemKind("decision-refused", 500, "The database rejects this decision")
BUSY = ProblemKind("busy", 503, "There is no capacity for this request now")
DATABASE_UNAVAILABLE = ProblemKind(
    "database-unavailable", 503, "The database cannot be reached now"
)


class Problem(Exception):
    """Raised to answer with an error."""

    def __init__(
        self,
        kind: ProblemKind,
        detail: str,
        *,
        errors: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """JSON-ready members; extensions come last."""
        members: dict[str, Any] = {
            "type": self.kind.type,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
        }
        if self.errors:
            members["errors"] = [error.model_dump() for error in self.errors]
        context = current_context()
        if context is not None:
            members["trace_id"] = context.trace_id
        return members | self.extra

    def render(self) -> bytes:
        return orjson.dumps(self.body())


def documented(*kinds: ProblemKind) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route for the docs: one entry a status, its problems listed."""
    by_status: dict[int, list[ProblemKind]] = {}
    for kind in (*kinds, INTERNAL):
        by_status.setdefault(kind.status, []).append(kind)
    return {status: problem_response(status, found) for status, found in sorted(by_status.items())}


def problem_response(status: int, kinds: Sequence[ProblemKind]) -> dict[str, Any]:
    """One response of the docs: problems of one status."""
    examples = {
        kind.code: {
            "value": {"type": kind.type, "title": kind.title, "status": status, "detail": "..."}
        }
        for kind in kinds
    }
    schema = {"$ref": "#/components/schemas/ProblemBody"}
    return {
        "description": "; ".join(kind.title for kind in kinds),
        "content": {MEDIA_TYPE: {"schema": schema, "examples": examples}},
    }
