"""Commands that change what a running API serves do it, and say in one line what they cannot."""

import getpass
import json
from pathlib import Path

import pytest

from api.settings import Settings
from shared.keys.tokens import Role
from tests.api.bundles import Signer, install
from tests.api.server import Running
from tests.support.api_pushes import audit
from tests.support.command_line import Command, command_in


@pytest.fixture
def two(settings: Settings, signer: Signer) -> Settings:
    """1.0.1 is served, 1.0.0 is its fallback."""
    install(settings, signer, "1.0.1")
    return settings


def of(server: Running, folder: Path) -> Command:
    """The command line of somebody who has the keys of this server."""
    command = command_in(folder)
    variables = {
        "API_URL": server.url,
        "KEYS_DIR": str(server.settings.keys_dir),
        "DATABASE_URL": server.settings.database_url.get_secret_value(),
    }
    return lambda *arguments, **more: command(*arguments, **(variables | more))


def test_rollback_revoke_and_refusals_are_one_line_each(two: Settings, tmp_path: Path) -> None:
    with Running(two) as server:
        understudy = of(server, tmp_path)
        done = understudy("rollback", "--reason", "too many [alerts]")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("1.0.0 serves, not 1.0.1, since ")
        assert server.client.get("/current_model").json()["version"] == "1.0.0"
        assert audit(two)[-1]["why"] == "too many [alerts]"

        again = understudy("rollback", "--reason", "once more")
        assert (again.returncode, again.stdout, again.stderr.count("\n")) == (2, "", 1)
        assert "409" in again.stderr

        forth = understudy("rollback", "--to", "1.0.1", "--reason", "a false alarm", "--json")
        assert json.loads(forth.stdout)["version"] == "1.0.1"

        gone = understudy("revoke", "1.0.1", "--reason", "tampered with")
        assert (gone.returncode, gone.stdout) == (0, "1.0.1 is revoked; 1.0.0 serves\n")
        assert "1.0.7" in understudy("revoke", "1.0.7", "--reason", "a typo").stderr


def test_what_the_api_would_refuse_is_refused_before_it_is_sent(
    two: Settings, tmp_path: Path
) -> None:
    with Running(two) as server:
        understudy = of(server, tmp_path)
        done = understudy("rollback", "--reason", "x")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "reason" in done.stderr
        assert understudy("feedback", "t-1", "7.5").returncode == 2
        stranger = understudy("rollback", "--reason", "a test", KEYS_DIR=str(tmp_path / "none"))
        assert "no operator token at" in stranger.stderr
        other = tmp_path / "others"
        (other / "api").mkdir(parents=True)
        (other / "api" / "operator.token").write_text("x" * 40)
        refused = understudy("rollback", "--reason", "a test", KEYS_DIR=str(other))
        assert (refused.returncode, "KEYS_DIR" in refused.stderr) == (2, True)
        assert server.client.get("/current_model").json()["version"] == "1.0.1"


def test_feedback_is_stored_replaces_another_label_and_is_refused_for_unknown_rows(
    two: Settings, tmp_path: Path
) -> None:
    with Running(two) as server:
        server.score(amount=1.0, transaction_id="t-1")
        server.drained()
        understudy = of(server, tmp_path)
        assert understudy("feedback", "t-1", "1").stdout == "stored\n"
        turned = understudy("feedback", "t-1", "no", "--source", "review")
        assert "replaced another label" in turned.stdout
        early = understudy("feedback", "t-1", "yes", "--known-at", "2020-01-01")
        assert "known later and stays" in early.stdout
        unknown = understudy("feedback", "t[/]9", "1")
        assert (unknown.returncode, unknown.stdout) == (
            1, "there is no row t[/]9; the label was not kept\n",
        )  # fmt: skip
        future = understudy("feedback", "t-1", "1", "--known-at", "2999-01-01")
        assert (future.returncode, future.stderr.count("\n")) == (2, 1)


def test_a_rollout_is_shown_advanced_and_aborted(
    settings: Settings, signer: Signer, tmp_path: Path
) -> None:
    with Running(settings) as server:
        understudy = of(server, tmp_path)
        assert "no version is on trial" in understudy("rollout").stdout
        none = understudy("rollout", "abort", "--reason", "a test")
        assert (none.returncode, none.stderr.count("\n")) == (2, 1)

        pushed = server.push(signer.bundle("1.0.1"), signer, **{"X-Rollout": "canary"})
        assert pushed.status_code == 200, pushed.text
        shown = understudy("rollout", "show", COLUMNS="80").stdout
        assert "1.0.1 is on trial (canary: 5 % of users get its answers, next is 10 %)" in shown
        on = understudy("rollout", "advance", "--reason", "no sign of harm")
        assert (on.returncode, on.stdout) == (0, "10 % of users get the answers of 1.0.1\n")
        far = understudy("rollout", "advance", "--share", "50", "--reason", "urgent")
        assert "50 % of users" in far.stdout
        back = understudy("rollout", "advance", "--share", "10", "--reason", "a slip")
        assert back.returncode == 2
        ended = understudy("rollout", "abort", "--reason", "complaints")
        assert ended.stdout == "the rollout of 1.0.1 is over; 1.0.0 serves all users\n"
        last = json.loads(understudy("rollout", "--json").stdout)
        assert (last["rollout"], last["last_rollout"]["outcome"]) == (None, "aborted")
        assert "complaints" in understudy("rollout", "show").stdout


def test_a_run_is_requested_by_the_command(settings: Settings, tmp_path: Path) -> None:
    with Running(settings) as server:
        done = of(server, tmp_path)("retrain")
        assert done.stdout.startswith("run 1 is requested\n"), done.stderr
        late = of(server, tmp_path)("retrain", "--wait", "--timeout", "1")
        assert (late.returncode, "has not ended after 1 s and goes on" in late.stderr) == (2, True)
        [second, first] = server.client.get(
            "/api/mlops/runs", headers=server.bearer(Role.READ)
        ).json()["runs"]
    assert (first["requested_by"], second["status"]) == (
        f"trigger/{getpass.getuser()}",
        "REQUESTED",
    )


def test_the_doctor_finds_a_running_api_and_that_no_scheduler_runs(
    settings: Settings, tmp_path: Path
) -> None:
    with Running(settings) as server:
        variables = {
            "API_PORT": server.url.rpartition(":")[2],
            "RUN_DIR": str(settings.run_dir),
            "JOURNAL_DIR": str(settings.journal_dir),
        }
        done = of(server, tmp_path)("doctor", "--json", **variables)
    checks = json.loads(done.stdout)
    faults = {check["name"] for check in checks if check["state"] == "fault"}
    assert (done.returncode, faults) == (1, {"scheduler"})
    assert all(check["remedy"] for check in checks if check["state"] == "fault")
    found = {(check["name"], check["state"]) for check in checks}
    assert {("port", "ok"), ("keys", "ok"), ("database", "ok"), ("clock", "ok")} <= found
