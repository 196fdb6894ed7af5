"""Schedule, policy, doctor, help and faults, as an operator meets them."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup
from typer.testing import CliRunner

from api.registry.audit import AuditReader
from shared.contracts.runs import RunView
from shared.errors import SettingsError
from shared.keys.tokens import Role, ensure_tokens
from shared.system.files import DiskSpace
from shared.tables.config import read_retraining_config
from shared.tables.engine import connect
from shared.tables.runs import RunStatus
from tests.support.command_line import Command
from tests.support.existing_database import make_database
from understudy.api_client import ApiNotThere
from understudy.cli import app
from understudy.commands.retrain import StillRunning, exit_status, wait_for_end
from understudy.commands.schedule import NoSchedule
from understudy.doctor_files import check_disks, check_folder, check_keys


def run(status: RunStatus, *steps: str) -> RunView:
    empty = dict.fromkeys(RunView.model_fields)
    told = {"run_id": 4, "run_date": "", "job": "retraining", "scheduled_for": "", "attempts": 1}
    return RunView.model_validate(
        {**empty, **told, "status": status, "steps": [{"step": step} for step in steps]}
    )


class FakeClock:
    """Time that passes only by pausing."""

    def __init__(self) -> None:
        self.now = 0.0

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self) -> float:
        return self.now


class Answers:
    """An API that answers one thing after the other, and the last one for ever."""

    def __init__(self, *answers: RunView | ApiNotThere) -> None:
        self._answers = list(answers)

    def __call__(self) -> RunView:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, ApiNotThere):
            raise answer
        return answer


def test_waiting_for_a_run_says_what_it_does_once_each_and_ends_with_it() -> None:
    clock, said = FakeClock(), list[str]()
    waits, works = run(RunStatus.REQUESTED), run(RunStatus.RUNNING, "snapshot")
    answers = Answers(waits, waits, works, ApiNotThere("away"), works, run(RunStatus.REFUSED))
    ended = wait_for_end(answers, said.append, None, clock.pause, clock)
    assert ended.status is RunStatus.REFUSED
    assert said == ["waits for the scheduler", "in progress: snapshot is done"]


def test_waiting_ends_with_an_api_that_stays_away_and_with_the_time_given() -> None:
    clock = FakeClock()
    with pytest.raises(ApiNotThere):
        wait_for_end(Answers(ApiNotThere("away")), print, None, clock.pause, clock)
    with pytest.raises(StillRunning, match="run 4 has not ended after 5 s"):
        wait_for_end(Answers(run(RunStatus.RUNNING)), print, 5, clock.pause, clock)


def test_the_exit_status_of_a_run_tells_promoted_failed_and_kept_apart() -> None:
    assert exit_status(RunStatus.SUCCEEDED) == 0
    assert exit_status(RunStatus.FAILED) == 1
    assert {exit_status(RunStatus(each)) for each in ("REFUSED", "SKIPPED", "MISSED")} == {3}


def test_a_changed_schedule_is_a_line_of_the_audit_trail_with_person_and_reason(
    tmp_path: Path,
) -> None:
    trail = tmp_path / "prod_models" / "audit.jsonl"
    trail.parent.mkdir()
    first = {"at": "2026-01-01T00:00:00Z", "what": "push", "who": "scheduler", "why": "a test",
             "before": "0" * 64}  # fmt: skip
    trail.write_text(json.dumps(first) + "\n")
    given = {"DATABASE_URL": make_database(tmp_path), "PROD_MODELS_DIR": str(trail.parent)}

    def schedule(*arguments: str) -> None:
        said = ["--reason", "labels come on Saturday", "--as", "anna"]
        done = CliRunner().invoke(app, ["schedule", *arguments, *said], env=given)
        assert done.exit_code == 0, done.output

    schedule("set", "2D")
    schedule("pause")
    schedule("resume")
    page = AuditReader(trail).page(10)
    assert page.is_whole
    assert [(one.what, one.who, one.why) for one in page.entries[:3]] == [
        ("schedule", "command/anna", "labels come on Saturday")
    ] * 3
    assert [one.details["is_enabled"] for one in page.entries[:3]] == [True, False, True]
    assert page.entries[0].details["interval"] == "2D"


def test_the_schedule_is_set_paused_and_resumed(tmp_path: Path) -> None:
    url = make_database(tmp_path)

    def schedule(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["schedule", *arguments], env={"DATABASE_URL": url})
        assert done.exit_code == 0, done.output
        return done.stdout

    assert "no scheduler has read it yet" in schedule()
    told = schedule("set", "weekly   sunday 03:00")
    assert told == "retraining: weekly sunday 03:00, in force within 10 s\n"
    assert "paused" in schedule("pause")
    engine = connect(url)
    config = read_retraining_config(engine)
    engine.dispose()
    assert (config.interval, config.is_enabled) == ("weekly sunday 03:00", False)
    assert "in force" in schedule("resume")
    assert json.loads(schedule("show", "--json"))["configured"] == {
        "interval": "weekly sunday 03:00", "is_enabled": True,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["30m", "sometimes", "", "1W[/]", "TZ=Nowhere/City 1D", "1" * 99])
def test_a_text_that_is_no_interval_is_refused_before_anything_is_opened(text: str) -> None:
    asked = CliRunner().invoke(app, ["schedule", "set", text])
    assert isinstance(asked.exception, NoSchedule)
    assert str(asked.exception)


def test_a_policy_is_checked_and_an_unknown_use_case_is_named(understudy: Command) -> None:
    done = understudy("policy", "check")
    assert (done.returncode, "the policy of fraud can be used" in done.stdout) == (0, True)
    missing = CliRunner().invoke(app, ["policy", "check", "--use-case", "nowhere"])
    assert isinstance(missing.exception, SettingsError)
    assert "USE_CASE" in str(missing.exception)


def test_the_doctor_of_a_folder_where_nothing_runs_names_faults_and_remedies(
    understudy: Command, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        variables = {"METRICS_PORT": port, "API_PORT": port}
        done = understudy("doctor", "--json", API_URL="http://127.0.0.1:9", **variables)
    checks = json.loads(done.stdout)
    faults = [check for check in checks if check["state"] == "fault"]
    assert done.returncode == 1
    # the machine that runs this may have a full disk
    assert {check["name"] for check in faults} - {"disk"} == {"API", "scheduler", "port"}
    assert all(check["remedy"] for check in faults)
    assert any("METRICS_PORT and API_PORT are both" in check["found"] for check in faults)
    assert not (tmp_path / "var").exists()


class Stranger(BaseHTTPRequestHandler):
    """A server of somebody else."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def strangers_port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_the_doctor_tells_another_program_on_our_port_from_our_api(
    understudy: Command, strangers_port: int
) -> None:
    done = understudy("doctor", "--json", API_PORT=str(strangers_port))
    found = {check["name"]: check for check in json.loads(done.stdout)}
    assert "is taken by something that is not our API" in found["port"]["found"]
    assert "it is not our API" in found["API"]["found"]


def test_a_key_that_others_may_read_is_a_fault_with_its_remedy(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    assert [check.state for check in check_keys(keys)] == ["note"]
    ensure_tokens(keys, [Role.OPERATOR])
    assert {check.state for check in check_keys(keys)} == {"note", "ok"}
    token = keys / "api" / "operator.token"
    token.chmod(0o644)
    [fault] = [check for check in check_keys(keys) if check.state == "fault"]
    assert ("0644" in fault.found, fault.remedy) == (True, f"chmod 600 {token}")
    token.chmod(0o600)
    token.write_text("short")
    assert [check.state for check in check_keys(keys)].count("fault") == 1


def test_keys_that_are_mounted_to_be_read_are_no_fault(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    (keys / "trust").mkdir(parents=True)
    (keys / "trust" / "a.pem").touch()
    keys.chmod(0o500)
    assert check_folder("KEYS_DIR", keys).state == "ok"
    keys.chmod(0o700)


@pytest.mark.parametrize("other", ["METRICS_PORT", "CONSOLE_PORT"])
def test_two_processes_on_one_port_are_refused_before_anything_starts(
    understudy: Command, tmp_path: Path, other: str
) -> None:
    done = understudy("run", API_PORT="18999", **{other: "18999"})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"API_PORT and {other} are both 18999" in done.stderr
    assert not (tmp_path / "var").exists()


def test_a_database_that_is_away_is_named_with_the_remedy(understudy: Command) -> None:
    done = understudy("runs", DATABASE_URL="postgresql://u:secret@127.0.0.1:9/x")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "set DATABASE_URL" in done.stderr
    assert "secret" not in done.stderr


def test_a_full_disk_is_a_fault_and_each_disk_is_told_once(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    [full] = check_disks(folders, lambda _: DiskSpace(10**13, 1024))
    [fine] = check_disks(folders, lambda _: DiskSpace(10**13, 10**12))
    assert (full.state, fine.state) == ("fault", "ok")


def test_a_folder_that_is_a_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert check_folder("RUN_DIR", tmp_path / "file").state == "fault"
    assert check_folder("RUN_DIR", tmp_path / "file" / "run").state == "fault"
    assert check_folder("RUN_DIR", tmp_path / "new" / "run").state == "ok"


def every_command(group: TyperGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, TyperGroup):
            yield from every_command(command, (*path, name))


ROOT_GROUP = typer.main.get_command(app)
assert isinstance(ROOT_GROUP, TyperGroup)


@pytest.mark.parametrize("path", sorted(every_command(ROOT_GROUP)), ids=" ".join)
def test_every_command_answers_to_h(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*path, "-h"])
    assert (shown.exit_code, "Usage" in shown.output) == (0, True)


def test_the_shell_completes_commands() -> None:
    program = "import sys; sys.argv[0] = 'understudy'; from understudy.cli import main; main()"
    asked = {"_UNDERSTUDY_COMPLETE": "complete_bash", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **asked, "COMP_WORDS": "understudy roll"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["rollback", "rollout"], done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_one_line(understudy: Command, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        done = understudy("seed", "--customers", "10", "--days", "1")
    finally:
        tmp_path.chmod(0o700)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_a_file_where_a_folder_has_to_be_is_one_line(understudy: Command, tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    for command in (("seed",), ("runs",), ("keys", "rotate"), ("token", "scorer", "--name", "a")):
        done = understudy(*command)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
        assert done.stderr.count("\n") == 1
