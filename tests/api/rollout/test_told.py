"""A rollout is told truthfully wherever people look: runs, versions, status, verdicts, page."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from scheduler.cycle.candidates import CandidateStore
from scheduler.report.page import outcome_head, with_outcome
from scheduler.rollout.trial_records import TrialRecords
from scheduler.scoring_api import HttpScoringApi
from shared.bundle.version import Version
from shared.keys.tokens import Role, read_token
from shared.tables.engine import connect
from shared.tables.runs import Run, RunStatus, claim_next, finish, get_run, request_run
from tests.api.bundles import Signer
from tests.api.rollout.driving import CANDIDATE, try_out, update, users, version_for
from tests.api.server import Running
from tests.support.command_line import Command, command_in

Understudy = Callable[..., Command]
VERSION = Version.parse(CANDIDATE)


@contextmanager
def records_of(server: Running, folder: Path) -> Iterator[TrialRecords]:
    """The scheduler's record of trials, beside a run whose candidate was pushed as a canary."""
    engine = connect(server.settings.database_url.get_secret_value())
    candidates = CandidateStore(folder / "retrained_models", 10)
    run_id = request_run(engine, "retraining", 1, "test")
    claim_next(engine)
    finish(engine, run_id, RunStatus.ON_TRIAL, "on_trial", "passed", model_version=CANDIDATE)
    candidates.save_bundle(VERSION, b"kept")
    candidates.save_verdicts(VERSION, {"run_id": run_id, "status": "ON_TRIAL"})
    candidates.save_report(VERSION, f"<title>x: on trial</title>{outcome_head('ON_TRIAL', 'yes')}")
    api = HttpScoringApi(server.url, read_token(folder / "keys", Role.PUSH), 10.0, 10.0)
    try:
        yield TrialRecords(engine, api, candidates, structlog.get_logger())
    finally:
        api.close()
        engine.dispose()


def the_run(records: TrialRecords) -> Run:
    run = get_run(records.engine, 1)
    assert run is not None
    return run


def of(server: Running, folder: Path) -> Command:
    command = command_in(folder)
    variables = {
        "API_URL": server.url,
        "KEYS_DIR": str(server.settings.keys_dir),
        "DATABASE_URL": server.settings.database_url.get_secret_value(),
        "RETRAINED_MODELS_DIR": str(folder / "retrained_models"),
        "COLUMNS": "80",
    }
    return lambda *arguments, **more: command(*arguments, **(variables | more))


def test_a_canary_is_shown_with_its_share_and_an_abort_corrects_every_record(
    serving: Running, signer: Signer, tmp_path: Path
) -> None:
    try_out(serving, signer, "canary")
    understudy = of(serving, tmp_path)
    with records_of(serving, tmp_path) as records:
        version_for(serving, users(serving.settings, 1, inside=True)[0])
        records.tick()
        assert (the_run(records).status, the_run(records).code) == (RunStatus.ON_TRIAL, "on_trial")
        assert "canary: 5 % of users" in str(the_run(records).message)
        shown = understudy("runs").stdout
        assert ("ON_TRIAL" in shown, "SUCCEEDED" in shown) == (True, False)
        told = understudy("versions").stdout
        assert "on-trial" in told
        assert "1.0.1: on trial (5 % of users)" in told
        part = json.loads(understudy("status", "--json").stdout)["components"]["rollout"]
        assert (part["state"], part["figures"]["share_percent"]) == ("ok", 5)
        assert part["figures"]["candidate_rows"] == 1
        assert "5 % of users get its answers, next is 10 %" in part["detail"]

        advanced = understudy("rollout", "advance", "--reason", "no sign of harm")
        assert advanced.stdout == "10 % of users get the answers of 1.0.1\n"
        records.tick()
        assert "canary: 10 % of users" in str(the_run(records).message)

        assert understudy("rollout", "abort", "--reason", "too many [alerts]").returncode == 0
        records.tick()
        run = the_run(records)
        assert (run.status, run.code) == (RunStatus.REFUSED, "rollout_aborted")
        assert "aborted at 10 % by operator/" in str(run.message)
        assert str(run.message).endswith(": too many [alerts]")
        record, page = records.candidates.verdicts(VERSION), records.candidates.report(VERSION)
        assert (record or {})["status"] == "REFUSED"
        assert "<title>x: not promoted</title>" in str(page)
        assert "too many [alerts]" in str(page)
        told = understudy("versions").stdout
        assert ("rolled-back" in told, "on-trial" in told) == (True, False)
        assert "1.0.1: its rollout ended" in told
        assert "rollout" not in json.loads(understudy("status", "--json").stdout)["components"]

        refused = understudy("rollout", "abort", "--reason", "again")
        assert (refused.returncode, "no version is on trial" in refused.stderr) == (2, True)


def test_a_promoted_canary_is_recorded_as_promoted_also_by_a_scheduler_that_was_away(
    serving: Running, signer: Signer, tmp_path: Path
) -> None:
    try_out(serving, signer, "canary")
    with records_of(serving, tmp_path) as records:
        assert update(serving, "promote").status_code == 200
        records.tick()
        run = the_run(records)
        assert (run.status, run.code) == (RunStatus.SUCCEEDED, "promoted")
        assert "PROMOTED" in str(records.candidates.report(VERSION))
        # its row was settled by another scheduler, and the files of this one were not
        records.candidates.save_verdicts(VERSION, {"run_id": 1, "status": "ON_TRIAL"})
        late = TrialRecords(records.engine, records.api, records.candidates, records.log)
        late.tick()
        assert (late.candidates.verdicts(VERSION) or {})["status"] == "SUCCEEDED"


def test_a_rollout_that_another_version_superseded_is_not_called_promoted(
    serving: Running, signer: Signer, tmp_path: Path
) -> None:
    try_out(serving, signer, "canary")
    with records_of(serving, tmp_path) as records:
        assert serving.push(signer.bundle("1.0.2"), signer).status_code == 200
        for _ in range(25):
            records.tick()
            if the_run(records).status is not RunStatus.ON_TRIAL:
                break
            # the API closes its books half a second after a change
            time.sleep(0.1)
        assert (the_run(records).status, the_run(records).code) == (
            RunStatus.REFUSED, "rollout_superseded",
        )  # fmt: skip


@pytest.mark.parametrize("action", ["advance", "promote", "abort"])
def test_a_step_without_a_rollout_names_what_serves_and_what_was_last(
    serving: Running, signer: Signer, action: str
) -> None:
    said = update(serving, action).json()["detail"]
    assert said == "no version is being rolled out; 1.0.0 serves all users"
    try_out(serving, signer, "canary")
    assert update(serving, "abort").status_code == 200
    said = update(serving, action).json()["detail"]
    assert "the last rollout, of 1.0.1, was aborted at 2" in said


def test_refusals_of_a_rollout_name_the_shares_and_the_version_that_is_on(
    serving: Running, signer: Signer
) -> None:
    try_out(serving, signer, "canary")
    waits = serving.push(signer.bundle("1.0.2"), signer, **{"X-Rollout": "canary"})
    assert "1.0.1 is being rolled out (canary, 5 % of users)" in waits.json()["detail"]
    assert update(serving, "advance", share_percent=50).status_code == 200
    last = update(serving, "advance").json()["detail"]
    assert last.endswith("has 50 % of users; the next step is to promote it")
    late = update(serving, "advance", from_share_percent=5).json()["detail"]
    assert late == "the share of 1.0.1 is 50 % by now, not 5 %"


def test_a_version_rolled_back_by_a_false_alarm_comes_back_with_a_fallback_and_can_be_revoked(
    serving: Running, signer: Signer
) -> None:
    assert serving.push(signer.bundle("1.0.1"), signer).status_code == 200
    assert serving.rollback("a false alarm").status_code == 200
    nothing = serving.rollback("once more")
    assert nothing.status_code == 409
    assert "1.0.1 was rolled back (a false alarm) and can be served by name" in nothing.text
    again = serving.push(signer.bundle("1.0.1"), signer)
    assert "is served again by a rollback to it by name" in again.json()["detail"]

    assert serving.rollback("it was a false alarm", version="1.0.1").status_code == 200
    current = serving.client.get("/current_model").json()
    assert (current["version"], current["fallback"]) == ("1.0.1", "1.0.0")
    revoked = serving.client.post(
        "/revoke_model",
        json={"version": "1.0.1", "reason": "no false alarm after all"},
        headers=serving.bearer(Role.OPERATOR),
    )
    assert revoked.json() == {"revoked": "1.0.1", "version": "1.0.0"}
    unknown = serving.rollback("a typo", version="1.0.9").json()
    assert unknown["detail"] == "there is no version '1.0.9'; known: 1.0.0"
    barred = serving.rollback("never again", version="1.0.1")
    assert "no false alarm after all" in barred.text or "known: 1.0.0" in barred.text


def test_the_head_of_a_page_is_replaced_and_nothing_that_is_quoted() -> None:
    nasty = "<!--outcome--> & \\1 <b>"
    page = f"<title>a: on trial</title>{outcome_head('ON_TRIAL', nasty)}<p>rest</p>"
    assert page.count("<!--outcome-->") == 1
    changed = with_outcome(page, "REFUSED", nasty)
    assert changed.startswith("<title>a: not promoted</title>")
    assert changed.endswith("<!--/outcome--><p>rest</p>")
    assert "<b>" not in changed
