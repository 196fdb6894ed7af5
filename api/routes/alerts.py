"""POST /alert: Alertmanager's webhook; steps back when the alert is about what is serving."""

from typing import Literal

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.http.door import Address, add, caller
from api.http.problems import BAD_SIGNATURE, BUNDLE_MALFORMED, MODEL_UNUSABLE, REGISTRY_FAILED
from api.models.problems import as_problem
from api.models.refusals import NoFallback, NotServing
from api.models.stage import Change
from api.rollout.ask import Ask
from api.rollout.refusals import NoRollout
from api.service import Service
from shared.errors import UnderstudyError
from shared.keys.tokens import Role

_LIMIT = 1024 * 1024
VERSION_LABEL = "model_version"
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


class Alert(BaseModel):
    """One alert of the group; members that are not used here are ignored."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)

    @property
    def summary(self) -> str:
        name = self.labels.get("alertname", "alert")
        text = self.annotations.get("summary") or self.annotations.get("description") or ""
        return f"{name}: {text}".strip(": ")[:500]


class Webhook(BaseModel):
    """Alertmanager's payload, version 4."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    version: Literal["4"] = "4"
    alerts: list[Alert] = Field(max_length=1_000)


class AlertAnswer(BaseModel):
    """What was done about it."""

    action: Literal["rolled-back", "none"]
    reason: str
    version: str = Field(description="What is served now")
    previous: str | None = None


def add_alert_routes(app: FastAPI, service: Service) -> None:
    """POST /alert."""

    def alert(request: Request, body: Webhook) -> AlertAnswer:
        firing = [item for item in body.alerts if item.status == "firing"]
        serving = service.models.version
        rollout = service.conductor.rollout
        on_trial = None if rollout is None else rollout.version
        blamed = next((a for a in firing if a.labels.get(VERSION_LABEL) == on_trial), None)
        if on_trial is not None and blamed is not None:
            return _end_trial(service, on_trial, blamed, caller(request).name)
        about = [item for item in firing if item.labels.get(VERSION_LABEL) == serving]
        if not about:
            reason = f"{len(firing)} firing, none with {VERSION_LABEL} {serving}"
            return AlertAnswer(action="none", reason=reason, version=serving)
        try:
            change = service.promoter.rollback(
                None, about[0].summary, caller(request).name, leaving=serving
            )
        except (NoFallback, NotServing) as error:
            # Asking again would not help, and Alertmanager repeats whatever is not answered 2xx.
            return AlertAnswer(action="none", reason=str(error), version=service.models.version)
        except (UnderstudyError, OSError) as error:
            raise as_problem(error) from error
        return _rolled_back(change, about[0].summary)

    options = {"tags": ["models"], "summary": "Alertmanager's webhook"}
    problems = (REGISTRY_FAILED, MODEL_UNUSABLE, BAD_SIGNATURE, BUNDLE_MALFORMED)
    address = Address("POST", "/alert", alert, Role.ALERT, _LIMIT, problems, options)
    add(app, service.doorkeeper, address)


def _end_trial(service: Service, version: str, blamed: Alert, who: str) -> AlertAnswer:
    """The alert is about the version on trial: nobody gets its answers any more."""
    try:
        change = service.conductor.abort(Ask(version, blamed.summary, who))
    except NoRollout as error:
        return AlertAnswer(action="none", reason=str(error), version=service.models.version)
    except (UnderstudyError, OSError) as error:
        raise as_problem(error) from error
    return _rolled_back(change, blamed.summary)


def _rolled_back(change: Change, reason: str) -> AlertAnswer:
    return AlertAnswer(
        action="rolled-back", reason=reason, version=change.version, previous=change.previous
    )
