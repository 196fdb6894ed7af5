"""Generated requests over the OpenAPI schema against a live service, by schemathesis."""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from shared.keys.tokens import Role
from tests.api.server import Running

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# One case in this many comes without credentials.
_STRANGERS = 8


@dataclass(slots=True)
class AnswerCounts:
    """What was sent and what came back."""

    cases: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    operations: set[str] = field(default_factory=set)


def fuzz(server: Running, cases: int, first_seed: int = 1) -> AnswerCounts:
    """Send at least so many cases, spread over all operations, half of them against the schema.

    Raises:
        Exception: schemathesis tells the smallest request whose answer breaks a promise.
    """
    schema = schemathesis.openapi.from_dict(server.client.get("/openapi.json").json())
    operations = [_operation(found) for found in schema.get_all_operations()]
    tally = AnswerCounts()
    share = -(-cases // (len(operations) * 2))
    with requests.Session() as session:
        for operation in operations:
            credentials = _credentials(server, operation.definition.raw)
            tally.operations.add(operation.label)
            for mode in GenerationMode:
                send = _sender(server.url, session, credentials, tally)
                _run(operation.as_strategy(generation_mode=mode), send, share, first_seed)
        # a route without parameters has few different requests; the others make up for them
        while tally.cases < cases:
            first_seed += 1
            for operation in operations:
                credentials = _credentials(server, operation.definition.raw)
                send = _sender(server.url, session, credentials, tally)
                strategy = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
                _run(strategy, send, min(share, cases - tally.cases), first_seed)
                if tally.cases >= cases:
                    break
    return tally


def _operation(found: Any) -> Any:
    return found.ok()


def _run(strategy: Any, send: Callable[[Any], None], cases: int, first_seed: int) -> None:
    @seed(first_seed)
    @settings(
        max_examples=max(1, cases), deadline=None, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=strategy)
    def tried(case: Any) -> None:
        send(case)

    # what has no parameters has nothing that could be wrong
    with suppress(Unsatisfiable):
        tried()


def _sender(
    url: str, session: requests.Session, credentials: Mapping[str, Any], tally: AnswerCounts
) -> Callable[[Any], None]:
    def send(case: Any) -> None:
        tally.cases += 1
        known = {} if tally.cases % _STRANGERS == 0 else credentials
        response = case.call(base_url=url, session=session, timeout=20, **known)
        tally.statuses[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    return send


def _credentials(server: Running, operation: Mapping[str, Any]) -> Mapping[str, Any]:
    for scheme in operation.get("security", []):
        name = next(iter(scheme))
        if name == "basic":
            return {"auth": ("operator", server.token(Role.TRIGGER))}
        return {"headers": server.bearer(Role(name))}
    return {}
