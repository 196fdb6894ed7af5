"""Screen 3, Undo and steer: how do I undo this now, and what would that lose?"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from console.api_client import Api, Operator
from console.deeds import Deed, Filled, FormField, FormRefused
from console.files import ModelFiles
from console.screen import Params, Reading, Row, Screen
from console.screens.common import (
    configuration,
    current_model,
    newest_runs,
)
from console.wording import change_word, metric_name
from shared.contracts.models import (
    CurrentModel,
    ModelChanged,
    Models,
    Revoked,
    RevokeRequest,
    RollbackRequest,
)
from shared.contracts.rollouts import Action, RolloutChanged, RolloutRequest, RolloutView
from shared.contracts.runs import (
    CancelRequest,
    RunCancelled,
    RunRequested,
    ScheduleChanged,
    ScheduleRequest,
)
from shared.tables.job_schedules import RETRAINING
from shared.tables.runs import UNFINISHED

_NOT_TO_RETURN_TO = frozenset({"serving", "on-trial", "revoked", "removed"})


@dataclass(frozen=True, slots=True)
class RollbackTarget:
    """A version that a rollback may go to, and what that would lose."""

    version: str
    state: str
    served_from: str | None
    why_left: str | None
    figures: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class MetricChange:
    """One metric of the live version, and of the one a rollback goes to; `word` compares them."""

    metric: str
    now: float
    then: float
    word: str


@dataclass(frozen=True, slots=True)
class SteerView:
    """The changes that are possible now, and what each would lose.

    Attributes:
        changes: metrics of the live version beside those of the fallback.
    """

    version: str | None
    live_since: str | None
    fallback: str | None
    changes: tuple[MetricChange, ...]
    targets: tuple[RollbackTarget, ...]
    revocable: tuple[str, ...]
    rollout: RolloutView | None
    runs: tuple[dict[str, Any], ...]
    is_enabled: bool | None
    interval: str | None
    rollback_choices: tuple[tuple[str, str], ...] = field(metadata={"shown": False})


def read(reading: Reading, _params: Params) -> SteerView:
    """The API says what is possible; it is also the one that does it."""
    current, known = current_model(reading), reading.api("/models", Models)
    models = () if known is None else tuple(known.models)
    targets = tuple(
        RollbackTarget(
            m.version, m.state, m.last_activated_at, m.rolled_back_reason, m.metrics or {}
        )
        for m in models
        if m.state not in _NOT_TO_RETURN_TO
    )
    config = configuration(reading)
    runs = newest_runs(reading, RETRAINING, 10)
    version = current.version if current else reading.files("current", _live, None)
    return SteerView(
        version=version,
        live_since=None if current is None else current.activated_at,
        fallback=None if current is None else current.fallback,
        changes=() if current is None else tuple(_changes(current, known)),
        targets=targets,
        revocable=tuple(m.version for m in models if m.state not in {"revoked", "removed"}),
        rollout=None if current is None else current.rollout,
        runs=tuple(run for run in runs if run["status"] in UNFINISHED),
        is_enabled=bool(config["isenabled"]) if config else None,
        interval=config.get("interval"),
        rollback_choices=tuple(_choices(current, targets)),
    )


def _live(files: ModelFiles) -> str | None:
    return files.current_version()


def _choices(
    current: CurrentModel | None, targets: Sequence[RollbackTarget]
) -> list[tuple[str, str]]:
    if current is None:
        return []
    usual = []
    if current.rollout is None and current.fallback is not None:
        usual = [("", f"{current.fallback}, the usual one")]
    others = [(one.version, f"{one.version} ({one.state})") for one in targets]
    return [*usual, *others]


def _changes(current: CurrentModel, known: Models | None) -> list[MetricChange]:
    """The metrics that a rollback to the fallback would change."""
    found = [] if known is None else [m for m in known.models if m.version == current.fallback]
    if not found or found[0].metrics is None:
        return []
    return [
        MetricChange(metric_name(name), now, before, change_word(name, now, before))
        for name, now in current.metrics.items()
        if now is not None and (before := found[0].metrics.get(name)) is not None
    ][:6]


def _body(model: type[Any], **fields: Any) -> Any:
    """The body to send to the API; an invalid field is named before it is sent."""
    try:
        return model(**fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise FormRefused(f"{first['loc'][0]}: {first['msg']}") from error


def _roll_back(api: Api, operator: Operator, filled: Filled) -> str:
    version = filled["version"] or None
    body = _body(
        RollbackRequest, version=version, reason=filled.reason, leaving=filled["leaving"] or None
    )
    answer = api.change("/rollback_model", operator, body, ModelChanged)
    workers = answer.workers
    rest = f" {workers.serving} of {workers.total} workers so far." if answer.partial else ""
    left = f", no longer {answer.previous}" if answer.previous not in {None, answer.version} else ""
    return f"{answer.version} is live{left}.{rest}"


def _revoke(api: Api, operator: Operator, filled: Filled) -> str:
    body = _body(RevokeRequest, version=filled["version"], reason=filled.reason)
    answer = api.change("/revoke_model", operator, body, Revoked)
    return f"{answer.revoked} is never served again; {answer.version} is live."


def _change_rollout(action: Action) -> Any:
    def carry_out(api: Api, operator: Operator, filled: Filled) -> str:
        share = filled["from_share_percent"]
        body = _body(
            RolloutRequest,
            action=action,
            version=filled["version"],
            from_share_percent=int(share) if share.isdecimal() else None,
            reason=filled.reason,
        )
        answer = api.change("/update_rollout", operator, body, RolloutChanged)
        if answer.rollout is None:
            return f"The trial of {filled['version']} is over; {answer.version} answers all users."
        return f"{answer.share_percent} % of users get the answers of {filled['version']}."

    return carry_out


def _retrain(api: Api, operator: Operator, _filled: Filled) -> str:
    answer = api.change("/api/mlops/trigger-retraining", operator, None, RunRequested)
    return f"Run {answer.run_id} is requested; its page under Runs shows every step."


def _cancel(api: Api, operator: Operator, filled: Filled) -> str:
    run_id = filled["run_id"]
    if not (run_id.isascii() and run_id.isdigit()):
        raise FormRefused("run: write its number")
    path = f"/api/mlops/runs/{run_id}/cancel"
    answer = api.change(path, operator, _body(CancelRequest, reason=filled.reason), RunCancelled)
    return f"Run {answer.run_id} ends within seconds; the live version stays."


def _change_schedule(*, is_enabled: bool | None) -> Any:
    def carry_out(api: Api, operator: Operator, filled: Filled) -> str:
        body = _body(
            ScheduleRequest,
            interval=filled["interval"] or None,
            is_enabled=is_enabled,
            reason=filled.reason,
        )
        answer = api.change("/api/mlops/schedule", operator, body, ScheduleChanged)
        if not answer.is_enabled:
            return "Retraining is paused: no due instant starts a run until it is resumed."
        return f"Retraining is set to {answer.interval}, in force within ten seconds."

    return carry_out


_VERSION = FormField("version", "Version")
_SHARE = FormField("from_share_percent", "Share now", is_required=False)
ROLLBACK = Deed(
    name="rollback",
    button="Roll back",
    fields=(
        FormField("version", "To version", is_required=False, longest=64),
        FormField("leaving", "Leaving", is_required=False, longest=64),
    ),
    warning="The older version answers all users within seconds. Its decisions are those of its "
    "own training; labels and rows are kept. You can go back the same way.",
    command="understudy rollback [--to VERSION] --reason TEXT",
    carry_out=_roll_back,
    is_severe=True,
)
REVOKE = Deed(
    name="revoke",
    button="Revoke for ever",
    fields=(_VERSION,),
    warning="The version is never served again; if it is live, it is rolled back first. This "
    "cannot be undone.",
    command="understudy revoke VERSION --reason TEXT",
    carry_out=_revoke,
    is_severe=True,
)
ADVANCE = Deed(
    name="advance-rollout",
    button="Give it to more users",
    fields=(_VERSION, _SHARE),
    warning="The next share of users gets the answers of the version on trial, before its "
    "statistics allow it.",
    command="understudy rollout advance --reason TEXT",
    carry_out=_change_rollout(Action.ADVANCE),
)
PROMOTE = Deed(
    name="promote-rollout",
    button="Give it to all users",
    fields=(_VERSION, _SHARE),
    warning="The version on trial becomes the live version, before its statistics allow it.",
    command="understudy rollout promote --reason TEXT",
    carry_out=_change_rollout(Action.PROMOTE),
)
END_ROLLOUT = Deed(
    name="end-rollout",
    button="End the trial",
    fields=(_VERSION, _SHARE),
    warning="All users get the answers of the live version again.",
    command="understudy rollout abort --reason TEXT",
    carry_out=_change_rollout(Action.ABORT),
    is_severe=True,
)
RETRAIN = Deed(
    name="retrain",
    button="Retrain now",
    fields=(),
    warning="A candidate is trained from the newest rows. The gates decide as always; nothing is "
    "promoted by this alone.",
    command="understudy retrain",
    carry_out=_retrain,
    needs_reason=False,
)
CANCEL = Deed(
    name="cancel-run",
    button="Cancel the run",
    fields=(FormField("run_id", "Run", longest=16),),
    warning="The run ends within seconds and is recorded as skipped. The live version stays.",
    command="understudy runs cancel N",
    carry_out=_cancel,
)
PAUSE = Deed(
    name="pause-schedule",
    button="Pause retraining",
    fields=(),
    warning="No due instant starts a run until you resume. The live version grows old.",
    command="understudy schedule pause",
    carry_out=_change_schedule(is_enabled=False),
)
RESUME = Deed(
    name="resume-schedule",
    button="Resume retraining",
    fields=(),
    warning="Due instants start runs again; those of the pause are not made up for.",
    command="understudy schedule resume",
    carry_out=_change_schedule(is_enabled=True),
)
SET_SCHEDULE = Deed(
    name="set-schedule",
    button="Set the interval",
    fields=(FormField("interval", "Interval", longest=64),),
    warning="In force within ten seconds; whether retraining is paused stays as it is.",
    command="understudy schedule set INTERVAL",
    carry_out=_change_schedule(is_enabled=None),
)
DEEDS = (
    ROLLBACK,
    REVOKE,
    ADVANCE,
    PROMOTE,
    END_ROLLOUT,
    RETRAIN,
    CANCEL,
    PAUSE,
    RESUME,
    SET_SCHEDULE,
)


def rows(view: SteerView) -> list[Row]:
    """The versions that one could go back to."""
    return [
        {"version": t.version, "state": t.state, "served_from": t.served_from,
         "why_left": t.why_left, **t.figures}
        for t in view.targets
    ]  # fmt: skip


SCREEN = Screen(
    number=3,
    path="/steer",
    name="Undo and steer",
    question="How do I undo this now, and what would that lose?",
    template="steer.html",
    read=read,
    rows=rows,
    command=lambda _params: "understudy rollback --help",
)
