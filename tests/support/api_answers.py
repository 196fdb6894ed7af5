"""Bodies as the API writes them, for servers that stand in for it."""

from typing import Any

from shared.contracts.http import NO_MODEL_CODE, PROBLEM_TYPE, ProblemBody
from shared.contracts.models import (
    CurrentModel,
    ModelChanged,
    Models,
    ModelSummary,
    NotFollowing,
    WorkersView,
)

AT = "2026-01-01T00:00:00Z"


def current_model(version: str, sha256: str = "ab") -> dict[str, Any]:
    return CurrentModel(
        version=version,
        fallback=None,
        newest_accepted=version,
        activated_at=AT,
        sha256=sha256,
        created_at=AT,
        description="",
        components=["classifier"],
        feature_set_version="1",
        feature_names=["amount"],
        thresholds={},
        metrics={},
        training_data={},
        parent_version=None,
        frameworks={},
        rollout=None,
        last_rollout=None,
    ).model_dump(mode="json")


def summary(version: str, **changes: Any) -> ModelSummary:
    return ModelSummary(
        version=version,
        state="stored",
        accepted_at=AT,
        last_activated_at=None,
        rolled_back_at=None,
        rolled_back_reason=None,
        revoked_at=None,
        revoked_reason=None,
        sha256="ab",
        signed_by="key",
        parent_version=None,
        size_bytes=None,
        metrics=None,
    ).model_copy(update=changes)


def models(*versions: str) -> dict[str, Any]:
    return Models(models=[summary(version) for version in versions]).model_dump(mode="json")


def changed(
    version: str, previous: str | None = None, failed: dict[int, str] | None = None, total: int = 1
) -> dict[str, Any]:
    left = [NotFollowing(worker=at, reason=reason) for at, reason in (failed or {}).items()]
    workers = WorkersView(serving=total - len(left), total=total, failed=left)
    answer = ModelChanged(
        version=version, previous=previous, activated_at=AT, workers=workers, partial=bool(left)
    )
    return answer.model_dump(mode="json")


def problem(code: str, status: int, detail: str = "...") -> dict[str, Any]:
    body = ProblemBody(type=PROBLEM_TYPE + code, title=code, status=status, detail=detail)
    return body.model_dump(mode="json")


NO_MODEL = problem(NO_MODEL_CODE, 503)
