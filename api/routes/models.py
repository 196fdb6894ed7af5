"""Versions as they are read: GET /current_model, GET /models, and the signed bundle of one."""

from typing import Annotated, Any

from fastapi import FastAPI, Path, Response

from api.http.auth import RouteSpec, add_route
from api.http.problems import INVALID_REQUEST, NO_MODEL, UNKNOWN_VERSION, Problem
from api.rollout.arm_statistics import ended_view, rollout_view
from api.service import Service
from shared.bundle.manifest import Manifest
from shared.bundle.version import Version
from shared.clock import isoformat
from shared.contracts.http import BUNDLE_SIGNATURE
from shared.contracts.models import CurrentModel, Models, ModelSummary
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

NamedVersion = Annotated[str, Path(max_length=64, description="X.Y.Z, as GET /models lists it")]


def add_model_routes(app: FastAPI, service: Service) -> None:
    """GET /current_model, GET /models."""

    def get_current() -> CurrentModel:
        return current_model(service)

    def get_models() -> Models:
        return every_model(service)

    tags = {"tags": ["models"]}
    specs = (
        RouteSpec("GET", "/current_model", get_current, Role.READ,
                problems=(NO_MODEL,), options={**tags, "summary": "What is served now"}),
        RouteSpec("GET", "/models", get_models, Role.READ,
                options={**tags, "summary": "Every version and its state"}),
    )  # fmt: skip
    for spec in specs:
        add_route(app, service.access.authenticator, spec)


def current_model(service: Service) -> CurrentModel:
    """Raises Problem when nothing is served yet."""
    live, fallback = service.models.slot.live, service.models.slot.fallback
    if live is None:
        raise Problem(NO_MODEL, "the first model has not been promoted yet")
    manifest: Manifest = live.model.manifest
    newest = service.models.registry.ledger.newest
    return CurrentModel(
        version=live.version,
        fallback=None if fallback is None else fallback.version,
        newest_accepted=None if newest is None else str(newest),
        activated_at=isoformat(live.activated_at_us),
        sha256=live.model.sha256,
        created_at=manifest.created_at.isoformat(),
        description=manifest.description,
        components=list(manifest.components),
        feature_set_version=manifest.feature_set_version,
        feature_names=list(manifest.feature_names),
        thresholds=manifest.thresholds,
        metrics=manifest.metrics,
        training_data=manifest.training_data.model_dump(mode="json"),
        parent_version=manifest.parent_version,
        frameworks=manifest.frameworks,
        rollout=rollout_view(service.rollout_controller, service.clock.now_us()),
        last_rollout=ended_view(service.rollout_controller.rollouts.last),
    )


def every_model(service: Service) -> Models:
    versions = sorted(service.models.registry.ledger.accepted, key=Version.parse, reverse=True)
    return Models(models=[_summary(service, version) for version in versions])


def _summary(service: Service, version: str) -> ModelSummary:
    ledger = service.models.registry.ledger
    accepted, meta = ledger.accepted[version], service.models.registry.meta(version)
    rolled_back, activated = accepted.rolled_back_at_us, ledger.activated_at_us(version)
    revoked = accepted.revoked_at_us
    manifest: dict[str, Any] = {} if meta is None else meta.manifest
    return ModelSummary(
        version=version,
        state=_state(service, version, stored=meta is not None),
        accepted_at=isoformat(accepted.accepted_at_us),
        last_activated_at=None if activated is None else isoformat(activated),
        rolled_back_at=None if rolled_back is None else isoformat(rolled_back),
        rolled_back_reason=accepted.rolled_back_reason,
        revoked_at=None if revoked is None else isoformat(revoked),
        revoked_reason=accepted.revoked_reason,
        sha256=accepted.sha256,
        signed_by=accepted.key_id,
        parent_version=manifest.get("parent_version"),
        size_bytes=None if meta is None else meta.size_bytes,
        metrics=manifest.get("metrics"),
    )


def _state(service: Service, version: str, *, stored: bool) -> str:
    models = service.models.slot
    if models.live is not None and models.live.version == version:
        return "serving"
    if models.fallback is not None and models.fallback.version == version:
        return "fallback"
    if service.models.registry.ledger.is_revoked(version):
        return "revoked"
    rollout = service.rollout_controller.rollout
    if rollout is not None and rollout.version == version:
        return "on-trial"
    if not stored:
        return "removed"
    return "rolled-back" if service.models.registry.ledger.was_left(version) else "stored"


def add_bundle_route(app: FastAPI, service: Service) -> None:
    """GET /models/{version}/bundle.

    It takes the push token: reading is open by default, and a bundle is the whole model with
    the distributions of its training rows. A scheduler holds that token anyway.
    """

    def get_bundle(version: NamedVersion) -> Response:
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
