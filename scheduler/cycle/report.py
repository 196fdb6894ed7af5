"""The report of a run, filled in step by step, so that a failed run has one too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scheduler.decision import PromotionDecision, to_json, verdict_to_json
from shared.tables.approvals import WantedApproval
from shared.tables.runs import RunStatus
from shared.verdicts import Verdict


@dataclass(slots=True)
class RunReport:
    """The columns of ModelTrainingRuns that describe one run."""

    status: RunStatus = RunStatus.RUNNING
    code: str = ""
    message: str = ""
    model_version: str | None = None
    champion_version: str | None = None
    data_size: int | None = None
    metrics: Mapping[str, Any] | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    decision: PromotionDecision | None = None
    steps: Sequence[Mapping[str, Any]] = ()
    approval: WantedApproval | None = None

    def end(self, status: RunStatus, code: str, message: str) -> None:
        self.status, self.code, self.message = status, code, message

    def columns(self) -> dict[str, Any]:
        """Keyword arguments of `shared.tables.runs.finish` beyond status, code and message."""
        return {
            "model_version": self.model_version,
            "champion_version": self.champion_version,
            "data_size": self.data_size,
            "metrics": self.metrics,
            "verdicts": [verdict_to_json(verdict) for verdict in self.verdicts] or None,
            "decision": to_json(self.decision) if self.decision else None,
            "steps": list(self.steps) or None,
        }
