"""Drift reports on disk: a page for people and the same as JSON, the latest are kept."""

import json
from pathlib import Path
from typing import Any

from scheduler.drift.finding import DriftFinding
from scheduler.drift.page.page import render
from scheduler.drift.record import to_json
from shared.system.files import write_whole_within

_PREFIX = "drift_run_"


class DriftReports:
    """`DRIFT_REPORTS_DIR/drift_run_N.html` and `.json`."""

    def __init__(self, root: Path, keep: int) -> None:
        self._root = root
        self._keep = keep

    def save(self, run_id: int, use_case: str, finding: DriftFinding, sentence: str) -> str:
        """Write both; returns the name of the page."""
        content: dict[str, Any] = {"run_id": run_id, "answer": sentence, **to_json(finding)}
        text = json.dumps(content, indent=2, allow_nan=False)
        page = self._root / f"{_PREFIX}{run_id}.html"
        write_whole_within(page, render(use_case, finding, sentence).encode())
        write_whole_within(page.with_suffix(".json"), f"{text}\n".encode())
        self._prune()
        return page.name

    def _prune(self) -> None:
        pages = sorted(
            self._root.glob(f"{_PREFIX}*.html"), key=lambda path: path.stat().st_mtime_ns
        )
        for page in pages[: -self._keep]:
            page.unlink()
            page.with_suffix(".json").unlink(missing_ok=True)
