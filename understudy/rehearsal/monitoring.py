"""Prometheus and Alertmanager as real processes on the shipped files, and a receiver of alerts.

The shipped durations can be shortened by one factor, so that a rehearsal need not wait as long as
people do.
"""

import json
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which
from typing import Any

import httpx

from shared.system.child_processes import (
    INSTALLATION,
    ChildProcess,
    start_child,
    stop_children,
)
from understudy.rehearsal.service import free_port

MONITORING = INSTALLATION / "monitoring"
PROGRAMS = ("prometheus", "prometheus-alertmanager")
# Other names of the programs, in distributions and in the projects' own releases.
_ALSO_CALLED = {"prometheus-alertmanager": ("alertmanager",)}
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
# A duration: in a range selector, after `offset`, or as the value of a key.
_DURATION = re.compile(r"(?<=[\[ ])(\d+)(ms|s|m|h|d)(?=[\],}\s]|$)", re.MULTILINE)
_NOT_ALLOWED = re.compile(r"summary:|description:|^\s*#")
_STOP_SECONDS = 15.0


def missing_programs() -> list[str]:
    """Programs to install before alerts can be rehearsed."""
    return [name for name in PROGRAMS if program(name) is None]


def program(name: str, path: str | None = None) -> str | None:
    """The path of a program by any of its names; None: it is not on the path."""
    names = (name, *_ALSO_CALLED.get(name, ()))
    return next((found for one in names if (found := which(one, path=path))), None)


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
    """A receiver of notifications.

    Attributes:
        told: the alerts of all of them.
        payloads: the notifications as they came.
    """

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.payloads: list[dict[str, Any]] = []
        told, payloads = self.told, self.payloads

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                payloads.append(payload)
                told.extend(payload["alerts"])
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

    def order_about(self, version: str) -> dict[str, Any] | None:
        """The first notification of an order to roll a version back, whole."""
        for payload in list(self.payloads):
            labels = payload.get("groupLabels", {})
            if labels.get("model_version") == version:
                return payload
        return None


class Monitoring:
    """`with Monitoring(folder, api_port, token, factor) as monitoring: ...`."""

    def __init__(
        self,
        folder: Path,
        api_port: int,
        alert_token: str,
        factor: float,
        scheduler_port: int | None = None,
    ) -> None:
        self.people = People()
        self._folder = folder
        self._ports = {name: free_port() for name in PROGRAMS}
        self.prometheus, self.alertmanager = (
            f"http://127.0.0.1:{self._ports[name]}" for name in PROGRAMS
        )
        self._processes: list[ChildProcess] = []
        addresses = {"api:8000": f"127.0.0.1:{api_port}"}
        if scheduler_port is not None:
            addresses["scheduler:9108"] = f"127.0.0.1:{scheduler_port}"
        self._write(addresses, alert_token, factor)

    def __enter__(self) -> "Monitoring":
        data = self._folder / "monitoring-data"
        self._start(
            "prometheus",
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={data / 'prometheus'}",
            f"--web.listen-address={self.prometheus.removeprefix('http://')}",
        )
        self._start(
            "prometheus-alertmanager",
            f"--config.file={self._folder / 'alertmanager.yml'}",
            f"--storage.path={data / 'alertmanager'}",
            f"--web.listen-address={self.alertmanager.removeprefix('http://')}",
            "--cluster.listen-address=",
        )
        return self

    def __exit__(self, *_: object) -> None:
        stop_children(self._processes, _STOP_SECONDS)
        self.people.close()

    def alerts(self) -> dict[str, str]:
        """The state of each alert that is pending or firing, by its name."""
        try:
            answer = httpx.get(f"{self.prometheus}/api/v1/alerts", timeout=5)
            found = answer.json()["data"]["alerts"]
        except (httpx.HTTPError, ValueError, KeyError):
            return {}
        return {alert["labels"]["alertname"]: alert["state"] for alert in found}

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The series that a query finds now.

        Raises:
            ValueError: Prometheus does not take it; says why.
        """
        answer = httpx.get(
            f"{self.prometheus}/api/v1/query", params={"query": query}, timeout=30
        ).json()
        if answer["status"] != "success":
            raise ValueError(f"{query}: {answer.get('error')}")
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def give_order(self, version: str, summary: str) -> None:
        """Put an alert that asks for a rollback into Alertmanager, as Prometheus does."""
        labels = {"alertname": "Order", "action": "rollback", "model_version": version}
        alert = {"labels": labels, "annotations": {"summary": summary}}
        url = f"{self.alertmanager}/api/v2/alerts"
        httpx.post(url, json=[alert], timeout=10).raise_for_status()

    def _start(self, name: str, *arguments: str) -> None:
        command = [program(name) or name, *arguments]
        with (self._folder / f"{name}.log").open("wb") as log:
            child = start_child(
                command, folder=self._folder, environment=dict(os.environ), stdout=log, stderr=log
            )
        self._processes.append(child)

    def _write(self, addresses: dict[str, str], alert_token: str, factor: float) -> None:
        """The shipped files, with addresses of this machine and a receiver for people."""
        token = self._folder / "alert_token"
        token.write_text(alert_token)
        token.chmod(0o600)
        changes = {
            **addresses,
            "alertmanager:9093": self.alertmanager.removeprefix("http://"),
            "/etc/alertmanager/secrets/alert_token": str(token),
            "  - name: people\n": "  - name: people\n    webhook_configs:\n"
            f"      - {{url: '{self.people.url}', send_resolved: false}}\n",
        }
        for name in ("prometheus.yml", "rules.yml", "alertmanager.yml"):
            text = scaled((MONITORING / name).read_text(encoding="utf-8"), factor)
            for old, new in changes.items():
                text = text.replace(old, new)
            (self._folder / name).write_text(text, encoding="utf-8")
