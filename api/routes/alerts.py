"""POST /alert: a webhook for alerts; rolls back when one is about the version that is serving."""

from typing import Any

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.http.auth import RouteSpec, add_route
from api.http.callers import caller
from api.http.problems import BAD_SIGNATURE, BUNDLE_MALFORMED, MODEL_UNUSABLE, REGISTRY_FAILED
from api.models.refusals import NoFallback, NoRollout, NotServing, as_problem
from api.models.serving_state import VersionChange
from api.registry.rollouts import ChangeRequest
from api.service import Service
from shared.contracts.health import AlertAnswer
from shared.errors import UnderstudyError
from shared.keys.tokens import Role

VERSION_LABEL = "model_version"
# Grafana fires these when a rule could not be evaluated: no statement about a version.
_NOT_EVALUATED = frozenset({"DatasourceNoData", "DatasourceError"})
_SUMMARY_CHARACTERS = 500
_EXAMPLE: JsonDict = {
    "version": "4",
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "ScoreDrift", VERSION_LABEL: "1.0.1"},
            "annotations": {"summary": "the score distribution moved"},
        }
    ],
}

# Room for fifty thousand alerts; the sender is authenticated.
_LIMIT = 16 * 1024 * 1024
_VALUES = 1_000_000


class FiringAlert(BaseModel):
    """One alert that fires."""

    model_config = ConfigDict(frozen=True)

    version: str
    summary: str


class Webhook(BaseModel):
    """A group of alerts; members that are not listed are ignored."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    version: Any = Field(
        default=None, description="Version of the payload's format; every one is accepted"
    )
    status: Any = Field(default=None, description="For alerts that carry no status of their own")
    alerts: list[Any] = Field(description="Alerts with `status`, `labels` and `annotations`")
    common_labels: Any = Field(
        default=None, alias="commonLabels", description="For alerts that carry fewer labels"
    )

    def firing(self) -> list[FiringAlert]:
        """Alerts that fire and name a version, in their order."""
        found = (self._read(alert) for alert in self.alerts)
        return [alert for alert in found if alert is not None]

    def _read(self, alert: Any) -> FiringAlert | None:
        if not isinstance(alert, dict) or not _fires(alert.get("status") or self.status):
            return None
        labels = _members(self.common_labels) | _members(alert.get("labels"))
        version = str(labels.get(VERSION_LABEL, "")).strip()
        name = str(labels.get("alertname", "alert"))
        if not version or name in _NOT_EVALUATED:
            return None
        texts = _members(alert.get("annotations"))
        text = texts.get("summary") or texts.get("description") or ""
        return FiringAlert(
            version=version, summary=f"{name}: {text}".strip(": ")[:_SUMMARY_CHARACTERS]
        )


def _fires(status: Any) -> bool:
    # "alerting": the status in Grafana's legacy alerting
    return str(status).lower() in ("firing", "alerting")


def _members(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def add_alert_routes(app: FastAPI, service: Service) -> None:
    """POST /alert."""

    def alert(request: Request, body: Webhook) -> AlertAnswer:
        firing = body.firing()
        serving = service.models.slot.version
        rollout = service.rollout_controller.rollout
        on_trial = None if rollout is None else rollout.version
        blamed = next((a for a in firing if a.version == on_trial), None)
        if on_trial is not None and blamed is not None:
            return _end_trial(service, on_trial, blamed, caller(request).name)
        about = [item for item in firing if item.version == serving]
        if not about:
            reason = f"{len(firing)} firing with a {VERSION_LABEL}, none with {serving}"
            return AlertAnswer(action="none", reason=reason, version=serving)
        try:
            change = service.models.promoter.rollback(
                None, about[0].summary, caller(request).name, leaving=serving
            )
        except (NoFallback, NotServing) as error:
            # 200: Alertmanager retries every other status, and a retry would not help.
            return AlertAnswer(
                action="none", reason=str(error), version=service.models.slot.version
            )
        except (UnderstudyError, OSError) as error:
            raise as_problem(error) from error
        return _rolled_back(change, about[0].summary)

    options = {"tags": ["models"], "summary": "Webhook for Alertmanager and Grafana"}
    problems = (REGISTRY_FAILED, MODEL_UNUSABLE, BAD_SIGNATURE, BUNDLE_MALFORMED)
    spec = RouteSpec(
        "POST", "/alert", alert, Role.ALERT, _LIMIT, problems, options, json_elements=_LIMIT
    )
    add_route(app, service.access.authenticator, spec)


def _end_trial(service: Service, version: str, blamed: FiringAlert, who: str) -> AlertAnswer:
    """The alert is about the version on trial: no user gets its answers any more."""
    try:
        change = service.rollout_controller.abort(ChangeRequest(version, blamed.summary, who))
    except NoRollout as error:
        return AlertAnswer(action="none", reason=str(error), version=service.models.slot.version)
    except (UnderstudyError, OSError) as error:
        raise as_problem(error) from error
    return _rolled_back(change, blamed.summary)


def _rolled_back(change: VersionChange, reason: str) -> AlertAnswer:
    return AlertAnswer(
        action="rolled-back", reason=reason, version=change.version, previous=change.previous
    )
