"""What `runs`, `versions` and `status` print, for people and for machines."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from shared.tables.engine import connect, migrate
from shared.tables.runs import RunStatus, claim_next, finish, request_run
from tests.support.api_answers import summary
from tests.support.existing_database import make_database

Command = Callable[..., "subprocess.CompletedProcess[str]"]
MODEL = summary(
    "10.20.1234",
    state="rolled-back",
    last_activated_at="2026-11-21T04:01:32.478212Z",
    size_bytes=3 * 1024 * 1024,
    metrics={"auc": 0.97, "average_precision": None},
).model_dump(mode="json")


class KnownAnswers(BaseHTTPRequestHandler):
    """Says what the API says while one version serves and the database is away."""

    answers: ClassVar[dict[str, Any]] = {
        "/models": {"models": [MODEL | {"flavour": "a newer API says more"}]},
        "/api/health": {
            "status": "degraded",
            "components": {
                "model": {"state": "ok", "detail": "serving", "figures": {"version": "1.0.0"}},
                "database": {"state": "down", "detail": "cannot be reached"},
            },
        },
    }

    def do_GET(self) -> None:
        body = json.dumps(self.answers[self.path]).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def api_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), KnownAnswers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def one_refused_run(tmp_path: Path) -> int:
    engine = connect(f"sqlite:///{tmp_path}/var/understudy.db")
    migrate(engine)
    run_id = request_run(engine, "retraining", 1_800_000_000_000_000, "schedule")
    assert claim_next(engine) is not None
    verdict = {"gate": "metrics", "outcome": "FAIL", "reason": "worse than the champion"}
    metrics = {
        "candidate": {"alert_volume": 36.8, "alert_precision": 0.6, "alert_money": 4090.3},
        "champion": {"alert_volume": 35.3, "alert_precision": 0.7107},
        "intervals": {"alert_precision": [0.55, 0.65]},
    }
    finish(
        engine, run_id, RunStatus.REFUSED, "metrics_fail", "worse",
        verdicts=[verdict], metrics=metrics,
    )  # fmt: skip
    engine.dispose()
    return run_id


def test_a_run_shows_what_people_would_get(understudy: Command, one_refused_run: int) -> None:
    shown = understudy("runs", "show", str(one_refused_run)).stdout
    lines = {line.split("  ")[0]: line.split() for line in shown.splitlines()}
    assert lines["alerts a day"][3:] == ["35.3", "36.8"]
    assert lines["precision"][1:] == ["0.711", "0.600", "0.550", "to", "0.650"]
    assert lines["money a day"][3:] == ["-", "4,090.3"]


def test_runs_say_how_they_ended_and_why(understudy: Command, one_refused_run: int) -> None:
    shown = understudy("runs")
    assert shown.returncode == 0, shown.stderr
    assert "REFUSED" in shown.stdout
    assert "metrics_fail: worse" in shown.stdout
    assert "worse than the champion" in understudy("runs", "show", one_refused_run).stdout


def test_runs_are_json_for_machines(understudy: Command, one_refused_run: int) -> None:
    [run] = json.loads(understudy("runs", "--json").stdout)
    assert (run["run_id"], run["status"]) == (one_refused_run, "REFUSED")


def test_a_run_that_does_not_exist_is_an_error_of_one_line(
    understudy: Command, tmp_path: Path
) -> None:
    make_database(tmp_path)
    done = understudy("runs", "show", "77")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "there is no run 77" in done.stderr


def test_versions_and_candidates_are_told_with_their_sizes(
    understudy: Command, api_url: str, tmp_path: Path
) -> None:
    candidate = tmp_path / "retrained_models" / "1.0.1"
    candidate.mkdir(parents=True)
    (candidate / "bundle.zip").write_bytes(b"x" * 1024)
    (candidate / "verdicts.json").write_text('{"status": "REFUSED", "run_id": 3}')

    shown = understudy("versions", API_URL=api_url)
    assert shown.returncode == 0, shown.stderr
    assert ("3.0 MiB in the registry" in shown.stdout, "REFUSED" in shown.stdout) == (True, True)

    told = json.loads(understudy("versions", "--json", API_URL=api_url).stdout)
    assert told["models"] == [MODEL]
    assert told["candidates"][0]["size_bytes"] == 1024 + 34


def test_versions_and_instants_stand_whole_at_80_columns(
    understudy: Command, api_url: str, one_refused_run: int
) -> None:
    shown = understudy("versions", API_URL=api_url, COLUMNS="80").stdout
    [row, *_left, metrics] = [line for line in shown.splitlines() if "10.20.1234" in line]
    assert row.split()[2:4] == ["2026-01-01T00:00:00Z", "2026-11-21T04:01:32Z"]
    assert "auc 0.970" in metrics
    runs = understudy("runs", COLUMNS="80").stdout
    assert "2027-01-15T08:00:00Z" in runs
    assert max(map(len, (shown + runs).splitlines())) <= 80


def test_the_status_is_also_the_exit_status(understudy: Command, api_url: str) -> None:
    shown = understudy("status", API_URL=api_url)
    assert shown.returncode == 1
    assert "cannot be reached" in shown.stdout


def test_an_api_that_is_away_is_named_with_the_remedy(understudy: Command) -> None:
    done = understudy("status", API_URL="http://127.0.0.1:9")
    assert done.returncode == 2
    assert "start it with `understudy run`, or set API_URL" in done.stderr
