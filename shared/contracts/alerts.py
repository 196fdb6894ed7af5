"""The answer of POST /alert. The webhook's own body is Alertmanager's and Grafana's."""

from typing import Literal

from pydantic import BaseModel, Field


class AlertAnswer(BaseModel):
    """The action taken."""

    action: Literal["rolled-back", "none"]
    reason: str
    version: str = Field(description="What is served now")
    previous: str | None = None
