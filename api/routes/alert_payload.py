"""The body of an alert webhook, read leniently: Alertmanager's and Grafana's, of any version.

A rollback must not depend on members that nobody uses here. What is read: which alerts fire, the
version that each names, and what it says. An alert that makes no sense is skipped, not the rest.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

VERSION_LABEL = "model_version"
# Grafana fires these when a rule could not be evaluated: they say nothing about a version.
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


class FiringAlert(BaseModel):
    """One alert that fires."""

    model_config = ConfigDict(frozen=True)

    version: str
    summary: str


class Webhook(BaseModel):
    """A group of alerts; members that are not listed are ignored."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    version: Any = Field(default=None, description="Of the payload's format; every one is read")
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
    # "alerting" is what Grafana called it before its unified alerting
    return str(status).lower() in ("firing", "alerting")


def _members(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
