"""The console with much to show: time of every page, and resident memory. `make bench-console`

10,000 runs, 200 versions, 5,000 looks at a trial and a million decisions in SQLite; a console
process, and an API that answers at once. Every page, its JSON and its CSV are asked for in rounds
that are longer apart than answers are shared, so each answer is read again. Then five tabs at once.

`--short`: 1,000 runs, 100,000 decisions, a third of the rounds.
"""

import argparse
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from sqlalchemy import Connection, text

from benchmarks.report import finish
from console.reads import CACHE_SECONDS
from console.screens.catalogue import SCREENS
from shared.system.child_processes import start_child, stop_children
from shared.tables.engine import connect, migrate
from tests.support.console_bench import CURRENT, HEALTH, MODELS

RUNS, DECISIONS, VERSIONS, LOOKS = 10_000, 1_000_000, 200, 5_000
_ROUNDS, _TABS = 30, 5
_DAY_US = 86_400_000_000
_FEW_RUNS = (
    "WITH RECURSIVE n(i) AS "
    "(SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < :most) "
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__)
    parser.add_argument("--short", action="store_true")
    short = parser.parse_args().short
    with tempfile.TemporaryDirectory() as name:
        folder, part = Path(name), 10 if short else 1
        _fill(folder, RUNS // part, DECISIONS // part)
        with _api() as api, _console(folder, api) as (url, process):
            paths = _paths(url)
            times = _measure(url, paths, _ROUNDS // 3 if short else _ROUNDS)
            together = _five_tabs(url, paths)
            resident = _peak_mib(process)
    p95 = {path: float(np.percentile(found, 95)) for path, found in times.items()}
    for path in sorted(p95, key=lambda path: -p95[path]):
        sys.stderr.write(f"{p95[path]:8.1f} ms p95  {path}\n")
    figures = {
        "page_p95_ms": round(max(p95.values()), 1),
        "page_p50_ms": round(float(np.median(np.concatenate(list(times.values())))), 1),
        "five_tabs_p95_ms": round(float(np.percentile(together, 95)), 1),
        "resident_mib": round(resident, 1),
        "pages": len(paths),
    }
    finish("console", figures, {"page_p95_ms": ("<=", 200.0), "resident_mib": ("<=", 128.0)})


def _fill(folder: Path, runs: int, decisions: int) -> None:
    engine = connect(f"sqlite:///{folder / 'rows.db'}")
    migrate(engine)
    with engine.begin() as connection:
        _add_runs(connection, runs)
        add_decisions(connection, decisions)
        _add_looks(connection)
    engine.dispose()
    _add_versions(folder / "registry")


def _add_runs(connection: Connection, runs: int) -> None:
    names = [f"guard.slice {n}" for n in range(40)]
    numbers = {f"{name}.{part}": 0.01 for name in names for part in ("gain", "lower", "upper")}
    verdicts = [{"gate": "metrics", "outcome": "FAIL", "reason": "worse", "numbers": numbers}] * 5
    steps = [{"step": f"step {n}", "duration_seconds": 1.0, "result": "ok"} for n in range(18)]
    columns = [{"name": f"c{n}", "effect": 0.1, "floor": 0.2, "alarm": False} for n in range(47)]
    given = {
        "most": runs, "verdicts": json.dumps(verdicts), "steps": json.dumps(steps),
        "metrics": json.dumps({"columns": columns, "rows": 1_000, "answer": "no drift"}),
    }  # fmt: skip
    connection.execute(
        text(
            _FEW_RUNS + "INSERT INTO modeltrainingruns (rundate, jobname, scheduledfor, status, "
            "statuscode, statusmessage, requestedby, startedat, finishedat, modelversion, "
            "metrics, verdicts, steps) SELECT '2026-11-01T00:00:00.000000Z', "
            "CASE i % 3 WHEN 0 THEN 'drift' ELSE 'retraining' END, "
            "printf('2026-%06dT00:00:00Z', i), 'REFUSED', 'metrics_fail', 'metrics FAIL: worse', "
            "'schedule', '2026-11-01T00:00:00.000000Z', '2026-11-01T00:10:00.000000Z', '1.0.1', "
            ":metrics, :verdicts, :steps FROM n"
        ),
        given,
    )


def add_decisions(connection: Connection, decisions: int) -> None:
    """One decision a second, the last one just now."""
    reasons = [{"code": "MODEL_REVIEW", "message": "score above its threshold", "values": {}}] * 2
    given = {"most": decisions, "reasons": json.dumps(reasons), "vector": b"\0" * 188,
             "newest": _now_us()}  # fmt: skip
    # SQLite would make a number of it
    rules_and_codes = "'[]', :reasons"
    if connection.dialect.name != "sqlite":
        rules_and_codes = "CAST('[]' AS JSON), CAST(:reasons AS JSON)"
    connection.execute(
        text(
            _FEW_RUNS + "INSERT INTO apitransactionlogs (transaction_id, user_id, event_time, "
            "ingested_at, amount, currency, merchant_id, transaction_type, score, decision, "
            "matched_rules, reason_codes, model_version, feature_vector, latency_ms) "
            "SELECT 't-' || i, 'u-' || (i * 7919 % 50000), :newest - i * 1000000, "
            ":newest - i * 1000000, 10.0, 'EUR', 'm-' || (i % 3000), 'purchase', "
            "(i * 37 % 1000) / 1000.0, CASE i % 9 WHEN 0 THEN 'review' ELSE 'approve' END, "
            f"{rules_and_codes}, '1.0.199', :vector, 1.5 FROM n"
        ),
        given,
    )


def _add_looks(connection: Connection) -> None:
    arm = {"users": 10, "requests": 10, "errors": 0, "groups": 5, "below": [],
           "alert_rate": {"mean": 0.1, "standard_error": 0.01}, "latency_ms": None}  # fmt: skip
    tests = [{"name": "errors", "p_value": 0.5, "limit": 0.003, "is_rejected": False}] * 5
    given = {"most": LOOKS, "arms": json.dumps({"candidate": arm, "champion": arm}),
             "tests": json.dumps(tests)}  # fmt: skip
    connection.execute(
        text(
            _FEW_RUNS + "INSERT INTO rolloutlooks (version, champion, beganat, lookedat, mode, "
            "sharepercent, step, code, reason, arms, tests) SELECT '1.0.' || (i % 20), '1.0.1', 1, "
            "i, 'canary', 5, 'hold', 'time', 'the stage lasts longer', :arms, :tests FROM n"
        ),
        given,
    )


def _add_versions(registry: Path) -> None:
    accepted, activations, newest = {}, [], _now_us()
    for n in range(VERSIONS):
        version, at_us = f"1.0.{n}", newest - (VERSIONS - n) * 7 * _DAY_US
        head = {"version": version, "sha256": "a" * 64, "key_id": "3f2a9c41"}
        accepted[version] = {**head, "accepted_at_us": at_us}
        activations.append({"version": version, "activated_at_us": at_us, "ended": "replaced"})
        folder = registry / "versions" / version
        folder.mkdir(parents=True)
        (folder / "bundle.zip").write_bytes(b"")
        manifest = {"use_case": "cards", "metrics": {f"m{k}": 0.5 for k in range(20)},
                    "feature_names": [f"f{k}" for k in range(47)]}  # fmt: skip
        meta = {**head, "accepted_at_us": at_us, "size_bytes": 1, "manifest": manifest}
        (folder / "meta.json").write_text(json.dumps(meta))
    ledger = {"accepted": accepted, "activations": activations}
    (registry / "ledger.json").write_text(json.dumps(ledger))
    (registry / "current_version.txt").write_text(f"1.0.{VERSIONS - 1}\n")


def _now_us() -> int:
    return time.time_ns() // 1_000


class _Answers(http.server.BaseHTTPRequestHandler):
    """An API that answers at once."""

    protocol_version = "HTTP/1.1"
    bodies: dict[str, Any] = {  # noqa: RUF012 - read only
        "/current_model": CURRENT, "/models": MODELS, "/api/health": HEALTH
    }  # fmt: skip

    def do_GET(self) -> None:
        body = json.dumps(self.bodies.get(self.path, {})).encode()
        self.send_response(200 if self.path in self.bodies else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Says nothing."""


@contextmanager
def _api() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@contextmanager
def _console(folder: Path, api: str) -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    places = {"DATABASE_URL": f"sqlite:///{folder / 'rows.db'}", "KEYS_DIR": f"{folder / 'keys'}",
              "PROD_MODELS_DIR": f"{folder / 'registry'}", "API_URL": api,
              "RETRAINED_MODELS_DIR": f"{folder / 'candidates'}", "CONSOLE_PORT": str(port),
              "DRIFT_REPORTS_DIR": f"{folder / 'drift'}"}  # fmt: skip
    child = start_child(
        [sys.executable, "-m", "console.main"],
        environment={**os.environ, **places},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                httpx.get(f"{url}/livez")
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield url, child.pid
    finally:
        stop_children([child], 10.0)


def _paths(url: str) -> list[str]:
    listed = [screen.path for screen in SCREENS if screen.in_navigation]
    run = re.search(r'href="(/runs/\d+)"', httpx.get(f"{url}/runs").text)
    more = ["/versions/1.0.150", "/versions/compare", "/runs.csv", "/versions.json"]
    return [*listed, *([run[1]] if run else []), *more]


def _measure(url: str, paths: list[str], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {path: [] for path in paths}
    with httpx.Client(base_url=url, timeout=60) as client:
        for _ in range(rounds):
            began = time.monotonic()
            for path in paths:
                times[path].append(_time_of(client, path))
            time.sleep(max(0.0, began + 1.1 * CACHE_SECONDS - time.monotonic()))
    return times


def _time_of(client: httpx.Client, path: str) -> float:
    started = time.perf_counter()
    answer = client.get(path)
    if answer.status_code != httpx.codes.OK:
        raise SystemExit(f"{path} answers {answer.status_code}: {answer.text[:300]}")
    return (time.perf_counter() - started) * 1_000


def _five_tabs(url: str, paths: list[str]) -> list[float]:
    def tab(_number: int) -> list[float]:
        with httpx.Client(base_url=url, timeout=60) as client:
            return [_time_of(client, path) for path in paths * 2]

    with ThreadPoolExecutor(_TABS) as pool:
        return [time for times in pool.map(tab, range(_TABS)) for time in times]


def _peak_mib(process: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    main()
