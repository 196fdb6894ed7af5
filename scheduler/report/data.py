"""The content of a report: frozen results, so that a page is a function of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from scheduler.decision import PromotionDecision
from scheduler.report.task_views import Floats, RankView, TaskView
from scheduler.statistics.operating_figures import OperatingFigures
from shared.bundle.manifest import Manifest
from shared.tasks import Task, TaskKind
from shared.usecase.policy import PromotionPolicy
from shared.verdicts import Verdict

ALL_ROWS = "all rows"
BINARY = Task.binary()


@dataclass(frozen=True, slots=True)
class Curve:
    """Points to be joined by a line."""

    x: Floats
    y: Floats


@dataclass(frozen=True, slots=True)
class Reliability:
    """Predicted and observed rates with 95 % intervals, bin by bin."""

    predicted: Floats
    observed: Floats
    lower: Floats
    upper: Floats


@dataclass(frozen=True, slots=True)
class Histogram:
    """Shares of the rows of each class by score; `edges` has one entry more than the shares."""

    edges: Floats
    positives: Floats
    negatives: Floats


@dataclass(frozen=True, slots=True)
class ModelView:
    """One model on the held-out rows.

    Attributes:
        reliability: None where scores are not probabilities.
    """

    version: str
    auc: float
    average_precision: float
    roc: Curve
    precision_recall: Curve
    reliability: Reliability | None
    histogram: Histogram


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """Both models by one metric; the difference lies between the bounds (95 %)."""

    champion: float
    candidate: float
    difference: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Gain:
    """Candidate against champion by one metric, on all rows or on a part of them.

    Attributes:
        problem: why nothing could be measured, if so.
    """

    name: str
    metric: str
    rows: int
    positives: int
    measured: MetricDifference | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Importance:
    """The loss of a metric when these columns are shuffled."""

    name: str
    loss: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class HeldOutSummary:
    """The rows both models were judged on.

    Attributes:
        about: what their labels are, in words.
    """

    rows: int
    positives: int
    start: datetime
    end: datetime
    file: str | None
    sha256: str | None
    about: str = ""


@dataclass(frozen=True, slots=True)
class Examined:
    """The candidate's measurements, before the decision.

    Attributes:
        candidate, champion: what a binary task's figures show.
        view, champion_view: the same of another task.
        baselines: of a ranking, the simple models it has to beat.
        importance_metric: in which the importance of features was measured.
    """

    held_out: HeldOutSummary
    candidate: ModelView | None
    champion: ModelView | None
    gains: tuple[Gain, ...]
    slices: tuple[Gain, ...]
    features: tuple[Importance, ...]
    groups: tuple[Importance, ...]
    importance_rows: int
    operating: OperatingFigures = field(default_factory=OperatingFigures)
    view: TaskView | None = None
    champion_view: TaskView | None = None
    baselines: Mapping[str, RankView] = field(default_factory=dict)
    importance_metric: str = "auc"


@dataclass(frozen=True, slots=True)
class BundleFacts:
    """The judged bundle: its digest and its manifest's facts."""

    manifest: Manifest
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ReportData:
    """One run of the cycle; what it did not get to is None or empty.

    Attributes:
        began: when the run began, where that was later than the instant it is about.
        status: how the run ended: SUCCEEDED, ON_TRIAL, REFUSED or FAILED.
        unscorable_reason: why there is a champion, but no scores of it.
    """

    use_case: str
    run_id: int
    as_of: datetime
    began: datetime | None
    status: str
    code: str
    message: str
    candidate_version: str | None
    champion_version: str | None
    unscorable_reason: str | None
    snapshot_rows: int | None
    policy: PromotionPolicy
    verdicts: tuple[Verdict, ...]
    decision: PromotionDecision | None
    bundle: BundleFacts | None
    examined: Examined | None
    metrics: Mapping[str, Mapping[str, Any] | None]
    steps: Sequence[Mapping[str, Any]]
    task: Task = BINARY

    @property
    def is_binary(self) -> bool:
        return self.task.kind is TaskKind.BINARY

    @property
    def headline(self) -> tuple[object, object]:
        """The metric that decides, of the champion and of the candidate."""
        sides = (self.metrics.get(name) or {} for name in ("champion", "candidate"))
        champion, candidate = (side.get(self.policy.primary_metric) for side in sides)
        return champion, candidate
