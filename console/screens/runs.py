"""Screen 2, Run: why was it, or was it not, promoted?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from markupsafe import Markup
from sqlalchemy import Connection, select

from console.charts import IntervalEstimate, interval_chart, span
from console.render import micros_of, plain
from console.screen import NotFound, Params, Reading, Row, Screen, Unreadable
from console.screens.common import LIGHT_COLUMNS
from console.wording import WHAT_TO_DO, gate_name, metric_name, refusal, run_sentence
from shared.clock import MICROS_PER_SECOND
from shared.contracts.runs import REPLAY
from shared.tables.runs import UNFINISHED, RunStatus
from shared.tables.schema import model_training_runs as table

PAGE_ROWS = 50
_GAIN, _GUARD = ".gain", "guard."
# A run may hold any number of figures; a page shows at most this many of a gate.
_MOST_NUMBERS = 200
_MOST_STEPS = 100


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run in the list."""

    run_id: int
    job: str
    due: str
    status: str
    version: str | None
    why: str
    requested_by: str | None


@dataclass(frozen=True, slots=True)
class RunsView:
    """A page of runs, newest first; `older` and `newer` are queries of the pages beside it."""

    runs: tuple[RunLine, ...]
    jobs: tuple[str, ...]
    job: str
    status: str
    statuses: tuple[str, ...]
    older: str | None
    newer: str | None


def read_list(reading: Reading, params: Params) -> RunsView:
    """Newest first, from `before` on."""
    statuses = tuple(str(status) for status in RunStatus)
    status = params.choice("status", ("", *statuses), "")
    job = params.text("job", longest=64)
    before = params.integer("before", 0)

    def query(connection: Connection) -> list[dict[str, Any]]:
        # found in an index: a run is a large row
        asked = ((before, table.c.runid < before), (status, table.c.status == status),
                 (job, table.c.jobname == job))  # fmt: skip
        wanted = select(table.c.runid).where(*(part for given, part in asked if given))
        ids = wanted.order_by(table.c.runid.desc()).limit(PAGE_ROWS + 1)
        columns = (table.c[name] for name in LIGHT_COLUMNS)
        ordered = select(*columns).where(table.c.runid.in_(ids)).order_by(table.c.runid.desc())
        return [dict(row) for row in connection.execute(ordered).mappings()]

    found = reading.rows(("runs", status, job, before), query)
    shown = found[:PAGE_ROWS]
    rest = f"status={status}&job={job}" if status or job else ""
    older = f"before={shown[-1]['runid']}&{rest}".rstrip("&") if len(found) > PAGE_ROWS else None
    return RunsView(
        runs=tuple(_line(row) for row in shown),
        jobs=("retraining", "drift", REPLAY),
        job=job,
        status=status,
        statuses=statuses,
        older=older,
        newer=(rest or "status=") if before else None,
    )


def _line(row: Mapping[str, Any]) -> RunLine:
    return RunLine(
        row["runid"],
        row["jobname"],
        row["scheduledfor"],
        row["status"],
        row["modelversion"],
        row["statusmessage"] or row["statuscode"] or "",
        row["requestedby"],
    )


@dataclass(frozen=True, slots=True)
class RunComparison:
    """A measured gain of the candidate, and how much worse it may be; all in one unit.

    Attributes:
        limit: the gain at which it would have been refused; None: no limit is recorded.
    """

    name: str
    gain: float
    lower: float
    upper: float
    limit: float | None
    is_primary: bool
    chart: Markup = field(metadata={"shown": False})

    @property
    def words(self) -> str:
        """The meaning of the interval in words."""
        if self.lower > 0:
            return "better"
        if self.limit is not None and self.lower >= self.limit:
            return "no worse than allowed"
        if self.upper < 0:
            is_beyond = self.limit is None or self.upper < self.limit
            return "worse" if is_beyond else "worse, perhaps within what is allowed"
        return "not clear"


@dataclass(frozen=True, slots=True)
class Gate:
    """The verdict of one gate."""

    gate: str
    name: str
    outcome: str
    reason: str
    what_to_do: str
    comparisons: tuple[RunComparison, ...]
    numbers: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run; `begins_seconds` counts from the first step."""

    name: str
    started_at: str | None
    begins_seconds: float
    seconds: float | None
    result: str
    reason: str | None
    rows: int | None
    chart: Markup | None = field(metadata={"shown": False}, default=None)


@dataclass(frozen=True, slots=True)
class RunPage:
    """One run, as far as it has come."""

    run_id: int
    job: str
    sentence: str
    status: str
    code: str | None
    due: str
    requested_by: str | None
    started_at: str | None
    finished_at: str | None
    attempts: int
    version: str | None
    champion: str | None
    rows: int | None
    is_in_progress: bool
    gates: tuple[Gate, ...]
    steps: tuple[Step, ...]
    champion_figures: dict[str, Any]
    candidate_figures: dict[str, Any]
    report: str | None
    cancel_requested_by: str | None


def read_one(reading: Reading, params: Params) -> RunPage:
    """Everything of one run; it may be in progress."""
    run_id = params.integer("run_id", 0)

    def query(connection: Connection) -> dict[str, Any] | None:
        row = connection.execute(select(table).where(table.c.runid == run_id)).mappings()
        found = row.one_or_none()
        return None if found is None else dict(found)

    row = reading.database(("run", run_id), query, None)
    if row is None:
        if reading.troubles:
            raise Unreadable(f"run {run_id} cannot be read now: {reading.troubles[0].text}")
        raise NotFound(f"there is no run {run_id}; Runs lists them")
    gates = tuple(_gate(one) for one in _dicts(row["verdicts"]))
    steps = _steps(_dicts(row["steps"]), reading.now_us)
    metrics = row["metrics"] if isinstance(row["metrics"], dict) else {}
    return RunPage(
        run_id=run_id,
        job=row["jobname"],
        sentence=run_sentence(row, [(g.gate, g.outcome, g.reason) for g in gates]),
        status=row["status"],
        code=row["statuscode"],
        due=row["scheduledfor"],
        requested_by=row["requestedby"],
        started_at=row["startedat"],
        finished_at=row["finishedat"],
        attempts=row["attempts"],
        version=row["modelversion"],
        champion=row["championversion"],
        rows=row["datasize"],
        is_in_progress=row["status"] in UNFINISHED,
        gates=gates,
        steps=steps,
        champion_figures=_figures(metrics, "champion"),
        candidate_figures=_figures(metrics, "candidate"),
        report=_report(reading, row),
        cancel_requested_by=row["cancelrequestedby"],
    )


def _dicts(value: Any) -> list[dict[str, Any]]:
    listed = value if isinstance(value, list) else []
    return [one for one in listed if isinstance(one, dict)][:_MOST_STEPS]


def _figures(metrics: Mapping[str, Any], role: str) -> dict[str, Any]:
    found = metrics.get(role)
    return dict(list(found.items())[:_MOST_NUMBERS]) if isinstance(found, dict) else {}


def _gate(verdict: Mapping[str, Any]) -> Gate:
    gate, outcome = str(verdict.get("gate", "")), str(verdict.get("outcome", ""))
    found = verdict.get("numbers")
    numbers: dict[str, Any] = found if isinstance(found, dict) else {}
    comparisons = tuple(_comparisons(numbers))
    shown = {name: value for name, value in numbers.items() if not name.startswith(_GUARD)}
    return Gate(
        gate=gate,
        name=gate_name(gate),
        outcome=outcome,
        reason=str(verdict.get("reason", "")),
        what_to_do=WHAT_TO_DO.get((gate, outcome), refusal(outcome)),
        comparisons=comparisons,
        numbers=dict(list(shown.items())[:_MOST_NUMBERS]),
    )


def _comparisons(numbers: Mapping[str, Any]) -> Sequence[RunComparison]:
    """Gains with intervals: of the metric that decides, and of each guard."""
    found = [
        _comparison(name.removesuffix(_GAIN), numbers) for name in numbers if name.endswith(_GAIN)
    ]
    known = [one for one in found if one is not None]
    return sorted(known, key=lambda one: not one.is_primary)[:_MOST_NUMBERS]


def _comparison(prefix: str, numbers: Mapping[str, Any]) -> RunComparison | None:
    values = [numbers.get(f"{prefix}.{part}") for part in ("gain", "lower", "upper")]
    if not all(isinstance(value, int | float) for value in values):
        return None
    gain, lower, upper = (float(value) for value in values if value is not None)
    is_guard = prefix.startswith(_GUARD)
    allowed = numbers.get(f"{prefix}.tolerance") if is_guard else numbers.get("margin")
    limit = -abs(float(allowed)) if isinstance(allowed, int | float) else None
    name = metric_name(prefix.removeprefix(_GUARD))
    metric = numbers.get(f"{prefix}.metric")
    if metric and metric_name(str(metric)) != name:
        name = f"{metric_name(str(metric))}, {prefix.removeprefix(_GUARD)}"
    chart = interval_chart(
        f"gain in {name}: {gain:.4f}, from {lower:.4f} to {upper:.4f}",
        IntervalEstimate(name, lower, gain, upper, limit),
    )
    return RunComparison(name, gain, lower, upper, limit, not is_guard, chart)


def _steps(records: Sequence[Mapping[str, Any]], now_us: int) -> tuple[Step, ...]:
    """Steps with their durations, and start times if the run recorded them."""
    starts = [micros_of(str(one.get("started_at") or "")) for one in records]
    first = next((start for start in starts if start is not None), None)
    steps, clock = [], 0.0
    for one, start in zip(records, starts, strict=True):
        if start is not None and first is not None:
            clock = (start - first) / MICROS_PER_SECOND
        seconds = one.get("duration_seconds")
        length = float(seconds) if isinstance(seconds, int | float) else None
        if length is None and start is not None:
            length = max(0.0, (now_us - start) / MICROS_PER_SECOND)
        rows = one.get("rows")
        steps.append(
            Step(
                name=_step_name(one),
                started_at=one.get("started_at"),
                begins_seconds=clock,
                seconds=length,
                result=str(one.get("result", "")),
                reason=None if one.get("reason") is None else str(one["reason"]),
                rows=rows if isinstance(rows, int) else None,
            )
        )
        clock += length or 0.0
    return _drawn(steps)


def _step_name(one: Mapping[str, Any]) -> str:
    """Rounds of a replay are counted."""
    counted = f" {one['number']} of {one.get('of')}" if "number" in one else ""
    return f"{one.get('step', '')}{counted}"


def _drawn(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Each with its place in the run."""
    whole = max((step.begins_seconds + (step.seconds or 0.0) for step in steps), default=0.0)
    return tuple(
        replace(
            step,
            chart=span(
                f"{step.name}: {step.seconds or 0.0:.1f} s of {whole:.1f} s",
                step.begins_seconds,
                step.seconds or 0.0,
                whole,
            ),
        )
        for step in steps
    )


def _report(reading: Reading, row: Mapping[str, Any]) -> str | None:
    """The address of the report, where it is kept."""
    version, run_id = row["modelversion"], row["runid"]
    if row["jobname"] == "drift":
        name = f"drift_run_{run_id}.html"
        read = lambda files: files.drift_report(name)  # noqa: E731
        return f"/reports/drift/{name}" if reading.files(("drift", name), read, None) else None
    if row["jobname"] == REPLAY:
        return _replay_report(reading, row)
    if version is None:
        kept = reading.files(
            ("no_candidate", run_id), lambda files: files.report_without_candidate(run_id), None
        )
        return None if kept is None else f"/reports/run/{run_id}"
    kept = reading.files(
        ("report", version), lambda files: files.report_of_candidate(str(version)), None
    )
    return None if kept is None else f"/reports/candidate/{version}"


def _replay_report(reading: Reading, row: Mapping[str, Any]) -> str | None:
    metrics = row["metrics"] if isinstance(row["metrics"], dict) else {}
    name = str(metrics.get("replay", ""))
    kept = reading.files(("replay", name), lambda files: files.replay_report(name), None)
    return None if kept is None else f"/reports/replay/{name}"


def list_rows(view: RunsView) -> list[Row]:
    return [plain(run) for run in view.runs]


def verdict_rows(view: RunPage) -> list[Row]:
    """One line a gate, one a comparison, one a step."""
    gates: list[Row] = [
        {"kind": "gate", "name": g.gate, "result": g.outcome, "reason": g.reason}
        for g in view.gates
    ]
    compared: list[Row] = [
        {"kind": "comparison", "name": c.name, "result": c.words, "gain": c.gain,
         "lower": c.lower, "upper": c.upper, "limit": c.limit}
        for g in view.gates for c in g.comparisons
    ]  # fmt: skip
    steps: list[Row] = [
        {"kind": "step", "name": s.name, "result": s.result, "reason": s.reason,
         "started_at": s.started_at, "seconds": s.seconds}
        for s in view.steps
    ]  # fmt: skip
    return [*gates, *compared, *steps]


LIST = Screen(
    number=2,
    path="/runs",
    name="Runs",
    question="Why was it, or was it not, promoted?",
    template="runs.html",
    read=read_list,
    rows=list_rows,
    command=lambda _params: "understudy runs --limit 50",
)
ONE = Screen(
    number=2,
    path="/runs/{run_id:number}",
    name="Run",
    question="Why was it, or was it not, promoted?",
    template="run.html",
    read=read_one,
    rows=verdict_rows,
    command=lambda params: f"understudy runs show {params.integer('run_id', 0)}",
    in_navigation=False,
    refresh_seconds=3,
    title=lambda view: f"Run {view.run_id}",
)
