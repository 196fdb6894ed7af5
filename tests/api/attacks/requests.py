"""Attempts on every other route: no credentials, forged addresses, bodies that are not JSON."""

import pickle
from collections.abc import Iterator
from functools import partial

from fastapi import FastAPI

from shared.keys.tokens import Role
from tests.api.attacks.archives import VERSIONS
from tests.api.attacks.attack import Attack
from tests.api.attacks.pushes import NO_CREDENTIALS, Loot

VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
# Open to every caller, and only with these verbs.
OPEN = {
    ("GET", "/api/health"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/"),
    ("HEAD", "/"),
    ("GET", "/docs"),
    ("HEAD", "/docs"),
    *(
        (verb, f"/docs/swagger-ui{end}")
        for verb in ("GET", "HEAD")
        for end in ("-bundle.js", ".css")
    ),
    ("GET", "/openapi.json"),
    ("HEAD", "/openapi.json"),
}
NOTHING_THERE = {(404, "not-found"), (405, "method-not-allowed"), *NO_CREDENTIALS}
DISGUISES = {
    "with a slash more": "{}/",
    "with two slashes": "/{}",
    "in capitals": "{upper}",
    "with a dot folder": "/.{}",
    "by way of a folder": "/docs/..{}",
    "escaped": "{escaped}",
    "with a semicolon": "{};x=1",
    "with a NUL": "{}%00",
    "below another prefix": "/api{}",
}


def routes(app: FastAPI) -> Iterator[Attack]:
    """Every verb on every address of the table itself, so that a new route is never forgotten."""
    for path in sorted({str(getattr(route, "path", "")) for route in app.routes}):
        asked = path.replace("{run_id}", "1").replace("{version}", "1.0.0")
        for verb in VERBS:
            if (verb, path) in OPEN:
                continue
            ask = partial(lambda verb, path, t: t.server.client.request(verb, path), verb, asked)
            refusals = {(405, ""), (401, ""), *NOTHING_THERE} if verb == "HEAD" else NOTHING_THERE
            yield Attack(f"{verb} {path} without credentials", ask, refusals)


def disguised() -> Iterator[Attack]:
    """The push route under other names."""
    path = "/update_model"
    for name, form in DISGUISES.items():
        said = form.format(path, upper=path.upper(), escaped="/%75pdate_model")
        ask = partial(lambda said, t: t.server.client.post(t.server.url + said), said)
        yield Attack(f"push without a token to the address {name}", ask, NOTHING_THERE)
    for header in (
        "X-HTTP-Method-Override",
        "X-Method-Override",
        "X-Original-URL",
        "X-Rewrite-URL",
    ):
        value = "POST" if "Method" in header else path
        ask = partial(
            lambda header, value, t: t.server.client.get(path, headers={header: value}),
            header,
            value,
        )
        yield Attack(f"push with the header {header}", ask, NOTHING_THERE)


def named_versions() -> Iterator[Attack]:
    """Versions that are none, by somebody who may roll back and revoke."""
    refusals = {(404, "unknown-version"), (422, "invalid-request"), (413, "too-large")}
    for path in ("/rollback_model", "/revoke_model"):
        for name, version in VERSIONS.items():
            ask = partial(
                lambda path, version, t: t.server.client.post(
                    path,
                    json={"version": version, "reason": "a test"},
                    headers=t.server.bearer(Role.OPERATOR),
                ),
                path,
                version,
            )
            yield Attack(f"{path[1:]} to a version that {name}", ask, refusals)
    for run in ("../../current_model", "1%2f..%2f..", "0x10", "-1", "9" * 400):
        ask = partial(lambda run, t: t.server.client.get(f"/api/mlops/runs/{run}"), run)
        refusals = {(404, "not-found"), (422, "invalid-request"), *NO_CREDENTIALS}
        yield Attack(f"read the run {run[:24]}", ask, refusals)


def documents() -> Iterator[Attack]:
    """What is sent to be scored, and is not a row."""
    invalid = {(422, "invalid-request")}
    unread = {(415, "unsupported-media-type")}
    bodies = {
        "that nests without end": (b'{"amount":' * 5_000, "application/json", invalid),
        "with a number of a thousand digits": (
            b'{"amount": 1' + b"0" * 1_000 + b"}", "application/json", invalid,
        ),
        "with infinity": (b'{"amount": Infinity}', "application/json", invalid),
        "in another encoding": ('{"amount": 1}'.encode("utf-16"), "application/json", invalid),
        "with half a character": (b'{"amount": 1, "user_id": "\xc3"}', "application/json", invalid),
        "with half a surrogate": (
            b'{"amount": 1, "user_id": "\\ud800"}', "application/json", invalid,
        ),
        "that is a pickle": (pickle.dumps(Loot()), "application/json", invalid),
        "that says it is a pickle": (pickle.dumps(Loot()), "application/python-pickle", unread),
        "that is XML": (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "application/xml", unread),
        "that is YAML": (b"!!python/object/apply:os.system ['x']", "application/yaml", unread),
        "that a web page can send": (b'{"amount": 1}', "text/plain", unread),
        "that is a form": (b"amount=1", "application/x-www-form-urlencoded", unread),
    }  # fmt: skip
    for name, (body, kind, refusals) in bodies.items():
        ask = partial(
            lambda body, kind, t: t.server.client.post(
                "/score",
                content=body,
                headers={"Content-Type": kind, **t.server.bearer(Role.SCORER)},
            ),
            body,
            kind,
        )
        yield Attack(f"score a document {name}", ask, refusals)


def requests() -> Iterator[Attack]:
    for part in (disguised, named_versions, documents):
        yield from part()
