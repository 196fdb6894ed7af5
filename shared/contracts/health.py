"""Answers of the health routes (liveness, readiness, state), and what POST /alert did."""

from typing import Literal

from pydantic import BaseModel, Field

State = Literal["ok", "degraded", "down"]


class HealthStatus(BaseModel):
    """The body of every health route's answer."""

    status: str


class Component(BaseModel):
    """One part of the service; `detail` says what is wrong, or how it stands."""

    state: State
    detail: str
    figures: dict[str, int | float | str | bool | None] = Field(default_factory=dict)


class Health(BaseModel):
    """`down` only when nothing can be scored."""

    status: State
    components: dict[str, Component]


class Ready(BaseModel):
    """Rows can be scored."""

    status: Literal["ready"] = "ready"
    version: str
    behind: str | None = Field(
        default=None, description="What this worker should serve and cannot, and why"
    )
    history: str | None = Field(
        default=None, description="Why rows are scored without their history, while they are"
    )


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class AlertAnswer(BaseModel):
    """The action taken."""

    action: Literal["rolled-back", "none"]
    reason: str
    version: str = Field(description="What is served now")
    previous: str | None = None
