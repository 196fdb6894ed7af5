"""`understudy versions` and `understudy status`: what is served, and how everything is."""

from dataclasses import asdict, dataclass
from pathlib import Path

import typer
from rich.text import Text

from shared.contracts.health import Component, Health
from shared.contracts.http import parse_if_agreed
from shared.contracts.models import CurrentModel, Models, ModelSummary
from shared.contracts.rollouts import RolloutView
from shared.contracts.runs import CandidateRecord
from understudy.api_client import ApiNotThere, read_api
from understudy.commands.options import AsJson
from understudy.commands.rollout import read_looks
from understudy.settings import CommandSettings, load_settings
from understudy.terminal import DataTable, console, second_of, styled, write_json

_COLOURS = {
    "serving": "green",
    "fallback": "cyan",
    "on-trial": "magenta",
    "rolled-back": "yellow",
    "revoked": "red",
    "ok": "green",
    "degraded": "yellow",
}
_MIB = 1024 * 1024
# short columns that are not wrapped
_BOUNDED = frozenset({"accepted", "served since", "size", "run"})


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(versions)
    app.command()(status)


def versions(as_json: AsJson = False) -> None:
    """Print every version the API accepted, and every candidate that is still kept.

    Both keep the last 10, never losing the one that serves nor its fallback. Sizes are what
    they take on disk. Candidates are read from RETRAINED_MODELS_DIR, versions from the API.

    **Examples**

        understudy versions

        understudy versions --json
    """
    settings = load_settings()
    models = read_api(settings, "/models", Models).models
    rollout = _rollout(settings)
    candidates = _candidates(settings.retrained_models_dir)
    if as_json:
        listed = [model.model_dump(mode="json") for model in models]
        write_json({"models": listed, "candidates": [asdict(one) for one in candidates]})
        return
    console.print(_models_table(models))
    if rollout is not None:
        share = f"{rollout.share_percent} % of users" if rollout.share_percent else "shadow"
        console.print(f"{rollout.version}: on trial ({share}); see `understudy rollout`")
    # metrics in lines of their own: they do not fit into 80 columns
    for model in models:
        left = _left(model)
        if left:
            console.print(left, soft_wrap=True)
        if model.metrics:
            console.print(f"{model.version}: {_metrics(model.metrics)}", soft_wrap=True)
    total = sum(model.size_bytes or 0 for model in models)
    console.print(f"{_mib(total)} in the registry\n", highlight=False)
    console.print(_candidates_table(candidates))
    total = sum(candidate.size_bytes for candidate in candidates)
    console.print(f"{_mib(total)} in {settings.retrained_models_dir}", highlight=False)


def status(as_json: AsJson = False) -> None:
    """Print the state of every part: model, journal, database, schedule, a run in progress.

    **Exit status**: 0 all is ok, 1 something is not ok, 2 the API does not answer.

    **Examples**

        understudy status

        understudy status --json

        until understudy status; do sleep 1; done
    """
    settings = load_settings()
    health = read_api(settings, "/api/health", Health, (200, 503))
    if as_json:
        write_json(health.model_dump(mode="json"))
    else:
        console.print(_status_table(settings, health))
        trial = health.components.get("rollout")
        looks = read_looks(settings.retrained_models_dir, _version_of(trial))
        if looks:
            console.print(f"last look of the scheduler at the rollout: {looks[-1]}", soft_wrap=True)
    raise typer.Exit(0 if health.status == "ok" else 1)


def _version_of(trial: Component | None) -> str:
    return "none" if trial is None else str(trial.figures.get("version"))


def _rollout(settings: CommandSettings) -> RolloutView | None:
    """The trial that is on; an API without a model has none."""
    try:
        return read_api(settings, "/current_model", CurrentModel).rollout
    except ApiNotThere:
        return None


def _left(model: ModelSummary) -> str | None:
    """The reason why a version is not to be served, or was not kept in service."""
    if model.revoked_at is not None:
        return f"{model.version}: revoked {second_of(model.revoked_at)}: {model.revoked_reason}"
    if model.state != "rolled-back":
        return None
    what = "its rollout ended" if model.last_activated_at is None else "rolled back"
    at = second_of(model.rolled_back_at)
    return f"{model.version}: {what} {at}: {model.rolled_back_reason}"


def _models_table(models: list[ModelSummary]) -> DataTable:
    table = _table("version", "state", "accepted", "served since", "size")
    for model in models:
        table.add_row(
            model.version,
            _coloured(model.state),
            second_of(model.accepted_at),
            second_of(model.last_activated_at),
            "" if model.size_bytes is None else _mib(model.size_bytes),
        )
    return table


@dataclass(frozen=True)
class _Candidate:
    """One folder of RETRAINED_MODELS_DIR."""

    version: str
    size_bytes: int
    report: str | None
    status: str | None
    run_id: int | None


def _candidates(folder: Path) -> list[_Candidate]:
    """The bundles that the scheduler keeps, newest first."""
    found = [path for path in folder.glob("*.*.*") if path.is_dir()]
    found.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return list(map(_candidate, found))


def _candidate(path: Path) -> _Candidate:
    record, report = _record(path / "verdicts.json"), path / "report.html"
    return _Candidate(
        version=path.name,
        size_bytes=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        report=str(report) if report.exists() else None,
        status=None if record is None else record.status,
        run_id=None if record is None else record.run_id,
    )


def _record(path: Path) -> CandidateRecord | None:
    """None while the run is under way, and where the file is damaged."""
    try:
        return parse_if_agreed(CandidateRecord, path.read_bytes())
    except OSError:
        return None


def _candidates_table(candidates: list[_Candidate]) -> DataTable:
    table = _table("candidate", "result", "run", "size", "report")
    for candidate in candidates:
        table.add_row(
            candidate.version,
            candidate.status or "",
            str(candidate.run_id or ""),
            _mib(candidate.size_bytes),
            candidate.report or "",
        )
    return table


def _status_table(settings: CommandSettings, health: Health) -> DataTable:
    table = _table("part", "state", "what")
    table.add_row(settings.api_url, _coloured(health.status), "")
    for name, component in health.components.items():
        figures = component.figures.items()
        listed = ", ".join(f"{key} {value}" for key, value in figures if value is not None)
        what = f"{component.detail} ({listed})" if listed else component.detail
        table.add_row(name, _coloured(component.state), what)
    return table


def _table(*names: str) -> DataTable:
    table = DataTable(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, no_wrap=name in _BOUNDED)
    return table


def _coloured(state: str) -> Text:
    return styled(state, _COLOURS.get(state, "default"))


def _metrics(metrics: dict[str, float | None]) -> str:
    known = {name: value for name, value in metrics.items() if value is not None}
    return ", ".join(f"{name} {value:.3f}" for name, value in list(known.items())[:2])


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / _MIB:.1f} MiB"
