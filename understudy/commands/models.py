"""`understudy versions` and `understudy status`: what is served, and how everything is."""

import json
import sys
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from understudy.api_client import read_api
from understudy.commands.options import AsJson
from understudy.settings import CommandSettings, load_settings
from understudy.terminal import console

_COLOURS = {"serving": "green", "fallback": "cyan", "ok": "green", "degraded": "yellow"}
_MIB = 1024 * 1024


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
    models: list[dict[str, Any]] = read_api(settings, "/models")["models"]
    candidates = _candidates(settings.retrained_models_dir)
    if as_json:
        _write_json({"models": models, "candidates": candidates})
        return
    console.print(_models_table(models))
    total = sum(model["size_bytes"] or 0 for model in models)
    console.print(f"{_mib(total)} in the registry\n", highlight=False)
    console.print(_candidates_table(candidates))
    total = sum(candidate["size_bytes"] for candidate in candidates)
    console.print(f"{_mib(total)} in {settings.retrained_models_dir}", highlight=False)


def status(as_json: AsJson = False) -> None:
    """Print how every part is: model, journal, database, schedule. Exit status 1 unless all is ok.

    **Examples**

        understudy status

        understudy status --json

        until understudy status; do sleep 1; done
    """
    settings = load_settings()
    health: dict[str, Any] = read_api(settings, "/api/health", (200, 503))
    if as_json:
        _write_json(health)
    else:
        console.print(_status_table(settings, health))
    raise typer.Exit(0 if health["status"] == "ok" else 1)


def _models_table(models: list[dict[str, Any]]) -> Table:
    table = _table("version", "state", "accepted", "served since", "size", "metrics")
    for model in models:
        table.add_row(
            model["version"],
            _coloured(model["state"]),
            model["accepted_at"][:19],
            (model["last_activated_at"] or "")[:19],
            "" if model["size_bytes"] is None else _mib(model["size_bytes"]),
            _metrics(model["metrics"] or {}),
        )
    return table


def _candidates(folder: Path) -> list[dict[str, Any]]:
    """What the scheduler keeps, newest first."""
    found = [path for path in folder.glob("*.*.*") if path.is_dir()]
    found.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return [
        {
            "version": path.name,
            "size_bytes": sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
            "report": str(path / "report.html") if (path / "report.html").exists() else None,
            **_outcome(path / "verdicts.json"),
        }
        for path in found
    ]


def _outcome(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
        return {"status": record["status"], "run_id": record["run_id"]}
    except (OSError, ValueError, KeyError):
        return {"status": None, "run_id": None}


def _candidates_table(candidates: list[dict[str, Any]]) -> Table:
    table = _table("candidate", "came of it", "run", "size", "report")
    for candidate in candidates:
        table.add_row(
            candidate["version"],
            candidate["status"] or "",
            str(candidate["run_id"] or ""),
            _mib(candidate["size_bytes"]),
            candidate["report"] or "",
        )
    return table


def _status_table(settings: CommandSettings, health: dict[str, Any]) -> Table:
    table = _table("part", "state", "what")
    table.add_row(settings.api_url, _coloured(health["status"]), "")
    for name, component in health["components"].items():
        figures = (component.get("figures") or {}).items()
        told = ", ".join(f"{key} {value}" for key, value in figures if value is not None)
        detail = component["detail"]
        what = f"{detail} ({told})" if told else detail
        table.add_row(name, _coloured(component["state"]), what)
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, no_wrap=name != names[-1], overflow="fold")
    return table


def _coloured(state: str) -> str:
    return f"[{_COLOURS.get(state, 'default')}]{state}[/]"


def _metrics(metrics: dict[str, float | None]) -> str:
    known = {name: value for name, value in metrics.items() if value is not None}
    return ", ".join(f"{name} {value:.3f}" for name, value in list(known.items())[:2])


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / _MIB:.1f} MiB"


def _write_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
