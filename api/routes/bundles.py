"""GET /models/{version}/bundle: the signed bytes of a version, for roles that may replace it."""

from typing import Annotated

from fastapi import FastAPI, Path, Response

from api.http.auth import RouteSpec, add_route
from api.http.problems import INVALID_REQUEST, UNKNOWN_VERSION, Problem
from api.service import Service
from shared.contracts.http import BUNDLE_SIGNATURE
from shared.keys.tokens import Role

_MEDIA_TYPE = "application/octet-stream"
_ANSWER = {
    "responses": {
        "200": {
            "description": "The bundle itself, as it was pushed",
            "content": {_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
            "headers": {
                BUNDLE_SIGNATURE: {
                    "description": "keyid:base64, over the body's bytes",
                    "schema": {"type": "string"},
                }
            },
        }
    }
}

Version = Annotated[str, Path(max_length=64, description="X.Y.Z, as GET /models lists it")]


def add_bundle_route(app: FastAPI, service: Service) -> None:
    """GET /models/{version}/bundle.

    It takes the push token: reading is open by default, and a bundle is the whole model with
    the distributions of its training rows. A scheduler holds that token anyway.
    """

    def get_bundle(version: Version) -> Response:
        if version not in service.models.registry.stored():
            raise Problem(UNKNOWN_VERSION, f"the registry has no bundle of {version[:40]!r}")
        try:
            stored = service.models.registry.read(version)
        except OSError as error:
            raise Problem(UNKNOWN_VERSION, f"the bundle of {version} cannot be read") from error
        headers = {BUNDLE_SIGNATURE: stored.signature.strip(), "Cache-Control": "no-store"}
        return Response(stored.raw, media_type=_MEDIA_TYPE, headers=headers)

    spec = RouteSpec(
        "GET",
        "/models/{version}/bundle",
        get_bundle,
        Role.PUSH,
        problems=(UNKNOWN_VERSION, INVALID_REQUEST),
        options={
            "tags": ["models"],
            "summary": "The signed bundle of a version",
            "response_class": Response,
        },
        extra=_ANSWER,
    )
    add_route(app, service.access.authenticator, spec)
