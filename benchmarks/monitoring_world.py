"""Prometheus and Alertmanager as real processes on the shipped files, and a receiver of alerts.

The shipped durations can be shortened by one factor, so that CI need not wait as long as people do.
"""

import json
import os
import re
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.services import REPOSITORY, free_port

MONITORING = REPOSITORY / "monitoring"
PROGRAMS = ("prometheus", "prometheus-alertmanager")
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
# A number and a unit, as a range, behind `offset`, or as the value of a key.
_DURATION = re.compile(r"(?<=[\[ ])(\d+)(ms|s|m|h|d)(?=[\],}\s]|$)", re.MULTILINE)
_NOT_ALLOWED = re.compile(r"summary:|description:|^\s*#")


def scaled(text: str, factor: float) -> str:
    """A file of rules or settings with every duration multiplied; texts for people stay."""

    def one(found: re.Match[str]) -> str:
        milliseconds = int(found[1]) * _MILLISECONDS[found[2]]
        if not milliseconds:
            return found[0]
        return f"{max(1, round(milliseconds * factor))}ms"

    if factor == 1:
        return text
    lines = text.splitlines(keepends=True)
    return "".join(
        line if _NOT_ALLOWED.search(line) else _DURATION.sub(one, line) for line in lines
    )


class People:
    """A receiver of notifications."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        told = self.told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                told.extend(json.loads(body)["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def heard_of(self, version: str) -> str | None:
        """The first notification that names a version as rolled back or to be rolled back."""
        for alert in list(self.told):
            labels = alert["labels"]
            if version in (labels.get("model_version"), labels.get("left")):
                return str(alert["annotations"].get("summary", ""))
        return None


class Monitoring:
    """`with Monitoring(folder, api_port, token, factor) as monitoring: ...`."""

    def __init__(self, folder: Path, api_port: int, alert_token: str, factor: float) -> None:
        self.people = People()
        self._folder = folder
        self._ports = {name: free_port() for name in PROGRAMS}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._write(api_port, alert_token, factor)

    def __enter__(self) -> "Monitoring":
        prometheus, alertmanager = (f"127.0.0.1:{self._ports[name]}" for name in PROGRAMS)
        data = self._folder / "monitoring-data"
        self._start(
            "prometheus",
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={data / 'prometheus'}",
            f"--web.listen-address={prometheus}",
        )
        self._start(
            "prometheus-alertmanager",
            f"--config.file={self._folder / 'alertmanager.yml'}",
            f"--storage.path={data / 'alertmanager'}",
            f"--web.listen-address={alertmanager}",
            "--cluster.listen-address=",
        )
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.people.close()

    def _start(self, name: str, *arguments: str) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [name, *arguments], cwd=self._folder, env=dict(os.environ), stdout=log, stderr=log
            )
        self._processes.append(process)

    def _write(self, api_port: int, alert_token: str, factor: float) -> None:
        """The shipped files, with addresses of this machine and a receiver for people."""
        token = self._folder / "alert_token"
        token.write_text(alert_token)
        token.chmod(0o600)
        changes = {
            "api:8000": f"127.0.0.1:{api_port}",
            "alertmanager:9093": f"127.0.0.1:{self._ports[PROGRAMS[1]]}",
            "/etc/alertmanager/alert_token": str(token),
            "  - name: people\n": "  - name: people\n    webhook_configs:\n"
            f"      - {{url: '{self.people.url}', send_resolved: false}}\n",
        }
        for name in ("prometheus.yml", "rules.yml", "alertmanager.yml"):
            text = scaled((MONITORING / name).read_text(encoding="utf-8"), factor)
            for old, new in changes.items():
                text = text.replace(old, new)
            (self._folder / name).write_text(text, encoding="utf-8")
