"""Stand-ins passed in by name: a clock, a tiny use case with a real ONNX graph, an API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import onnx
import polars as pl
from onnx import TensorProto, helper, numpy_helper
from sqlalchemy import Engine, FromClause, func, select

from scheduler.scoring_api import (
    ApiUnavailable,
    BundleRefused,
    OnTrial,
    Probe,
    PushAnswer,
    Serving,
    SignedBundle,
)
from shared.bundle.archive import unpack
from shared.bundle.version import Version
from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR
from shared.contracts.rollouts import Mode
from shared.errors import DataUnavailable, TrainingFailed
from shared.tables.schema import api_transaction_logs
from shared.tasks import Task
from shared.usecase.learning import Candidate, Labels, Progress, Quarantine, Split
from shared.usecase.policy import PromotionPolicy
from shared.usecase.rows import RowColumns
from shared.usecase.serving import FeatureSet, FloatMatrix
from shared.verdicts import Outcome, Verdict

NOW_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
NAMES = ("size", "speed", "noise")
FEATURE_SET = FeatureSet("1", NAMES, dict.fromkeys(NAMES, "all"))
COLUMNS = RowColumns("transaction_id", "user_id")
POLICY = PromotionPolicy(
    name="tiny",
    primary_metric="average_precision",
    margin=0.05,
    yearly_alpha=0.05,
    rounds_per_year=52,
    min_positives=50,
    champion_max_age_days=7.0,
    first_model_min={"average_precision": 0.3},
    resamples=200,
    slice_tolerance=0.05,
)


@dataclass
class SettableClock:
    """A clock that stands still until it is moved."""

    instant_us: int = NOW_US

    def now_us(self) -> int:
        return self.instant_us

    def move(self, micros: int) -> None:
        self.instant_us += micros


@dataclass
class TinyUseCase:
    """Rows of noise in which `size` and `speed` tell the label; trained in a millisecond."""

    rows: int = 2_000
    seed: int = 7
    policy: PromotionPolicy = POLICY
    quality: Outcome = Outcome.PASS
    feature_quality: Outcome = Outcome.PASS
    snapshot_error: str | None = None
    training_error: str | None = None
    weights: tuple[float, ...] = (2.0, 1.0, 0.0)
    review: float = 0.5
    name: str = "tiny"
    schema_version: int = 1
    feature_set: FeatureSet = FEATURE_SET
    columns: RowColumns = COLUMNS
    trained_on: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def served(self) -> FromClause:
        return api_transaction_logs

    def newest_row_us(self, engine: Engine) -> int | None:
        with engine.connect() as connection:
            newest: int | None = connection.scalar(
                select(func.max(api_transaction_logs.c.event_time))
            )
            return newest

    def snapshot(self, engine: Engine, as_of_us: int) -> pl.DataFrame:
        if self.snapshot_error:
            raise DataUnavailable(self.snapshot_error)
        rng = np.random.default_rng(self.seed)
        values = rng.normal(size=(self.rows, 3))
        risk = values @ np.array([2.0, 1.0, 0.0]) + rng.normal(size=self.rows)
        times = np.sort(as_of_us - rng.integers(0, 60 * 24, self.rows) * MICROS_PER_HOUR)
        return pl.DataFrame(
            {
                "transaction_id": [f"t{index}" for index in range(self.rows)],
                "user_id": [f"u{index}" for index in rng.integers(0, 300, self.rows)],
                "event_time": times,
                "label": (risk > 2.5).astype(np.int8),
                **{name: values[:, place] for place, name in enumerate(NAMES)},
            }
        )

    @property
    def task(self) -> Task:
        return Task.binary()

    def quarantine(self, snapshot: pl.DataFrame, as_of_us: int) -> Quarantine:
        return Quarantine(snapshot, {}, 0)

    def check_quality(self, snapshot: pl.DataFrame, as_of_us: int) -> Verdict:
        return Verdict("data_quality", self.quality, "as told", {"rows": snapshot.height})

    def features(self, snapshot: pl.DataFrame) -> FloatMatrix:
        return snapshot.select(NAMES).to_numpy().astype(np.float32)

    def split(self, snapshot: pl.DataFrame, as_of_us: int) -> Split:
        is_late = snapshot["event_time"].to_numpy() > as_of_us - 30 * MICROS_PER_DAY
        return Split(np.flatnonzero(~is_late), np.flatnonzero(is_late))

    def check_features(
        self,
        engine: Engine,
        snapshot: pl.DataFrame,
        matrix: FloatMatrix,
        split: Split,
        as_of_us: int,
    ) -> Verdict:
        assert len(matrix) == snapshot.height == len(split.train) + len(split.held_out)
        return Verdict("feature_quality", self.feature_quality, "as told", {"rows": len(matrix)})

    def alerts(
        self, scores: FloatMatrix, components: Sequence[str], thresholds: Mapping[str, float]
    ) -> npt.NDArray[np.bool_]:
        return np.asarray(scores[:, 0] >= thresholds["review"], dtype=np.bool_)

    def train(
        self,
        matrix: FloatMatrix,
        labels: Labels,
        feature_names: Sequence[str],
        seed: int,
        progress: Progress,
    ) -> Candidate:
        self.trained_on.append(tuple(feature_names))
        if self.training_error:
            raise TrainingFailed(self.training_error)
        for share in (0.3, 0.6, 1.0):
            progress("fitting", share)
        weights = [self.weights[NAMES.index(name)] for name in feature_names]
        return Candidate(
            files={"model.onnx": linear_graph(weights)},
            components=("classifier",),
            feature_names=tuple(feature_names),
            feature_set_version="1",
            thresholds={"review": self.review},
            hyperparameters={"kind": "linear"},
            frameworks={"numpy": np.__version__},
        )

    def headline(self, scores: FloatMatrix) -> npt.NDArray[np.float64]:
        return scores[:, 0].astype(np.float64)

    def metrics(
        self, scores: npt.NDArray[np.float64], labels: Labels, held_out: pl.DataFrame
    ) -> Mapping[str, float]:
        order = labels[np.argsort(-scores)]
        precision = np.cumsum(order) / np.arange(1, len(order) + 1)
        return {"average_precision": float(precision[order == 1].mean()), "undefined": np.nan}

    def slices(
        self, held_out: pl.DataFrame, features: FloatMatrix
    ) -> Mapping[str, npt.NDArray[np.bool_]]:
        size = features[:, NAMES.index("size")]
        return {"small": size <= 0, "large": size > 0}


def linear_graph(weights: Sequence[float]) -> bytes:
    """A real graph: sigmoid(features @ weights)."""
    column = np.asarray(weights, dtype=np.float32).reshape(-1, 1)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "weights"], ["risk"]),
            helper.make_node("Sigmoid", ["risk"], ["scores"]),
        ],
        "linear",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, len(weights)])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(column, "weights")],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@dataclass
class PocketApi:
    """The API in memory: accepts what is pushed, unless it is told otherwise."""

    serving: Serving | None = None
    accepted: set[Version] = field(default_factory=set)
    away: bool = False
    statuses: dict[str, int] = field(default_factory=dict)
    state: str = "ok"
    push_status: int = 200
    lose_push_answer: bool = False
    partial: str | None = None
    rollout: Mode = Mode.IMMEDIATE
    pushed: list[tuple[bytes, str]] = field(default_factory=list)
    fencing_numbers: list[int | None] = field(default_factory=list)
    gives_bundles: bool = True
    damaged: bytes | None = None
    asked_for: list[str] = field(default_factory=list)

    def current(self) -> Serving | None:
        self._answer()
        return self.serving

    def known_versions(self) -> frozenset[Version]:
        self._answer()
        return frozenset(self.accepted)

    def bundle(self, version: str) -> SignedBundle:
        self._answer()
        self.asked_for.append(version)
        for raw, signature in reversed(self.pushed):
            if self.gives_bundles and unpack(raw).manifest.version == version:
                return SignedBundle(self.damaged or raw, signature)
        raise BundleRefused(f"GET /models/{version}/bundle answered 404")

    def probe(self, path: str) -> Probe:
        self._answer()
        return Probe(path, self.statuses.get(path, 200), 1.0, self.state)

    def push(self, raw: bytes, signature: str, fencing_number: int | None = None) -> PushAnswer:
        self._answer()
        self.fencing_numbers.append(fencing_number)
        self.pushed.append((raw, signature))
        if self.push_status != 200:
            return PushAnswer(self.push_status, None, None, None, "no, thank you")
        previous = self.serving.version if self.serving else None
        bundle = unpack(raw)
        version = bundle.manifest.version
        self.accepted.add(bundle.manifest.parsed_version)
        mode = self.rollout if self.serving else Mode.IMMEDIATE
        if self.serving is None or mode is Mode.IMMEDIATE:
            self.serving = Serving(version, bundle.sha256)
        else:
            self.serving = replace(self.serving, on_trial=OnTrial(version, mode, 5))
        if self.lose_push_answer:
            raise ApiUnavailable("POST /update_model: ReadTimeout")
        return PushAnswer(200, version, previous, "now", "", self.partial, mode)

    def _answer(self) -> None:
        if self.away:
            raise ApiUnavailable("connection refused")
