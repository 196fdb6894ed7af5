"""The approval of candidates: what waits, with its evidence beside the buttons."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from console.api_client import Api, Operator
from console.deeds import Deed, Filled, FormField
from console.screen import Params, Reading, Row, Screen
from console.wording import gate_name
from shared.contracts.people import ApprovalRequest, ApprovalView
from shared.tables.schema import approvals as table
from shared.tables.schema import model_training_runs as runs

_MOST = 50


@dataclass(frozen=True, slots=True)
class GateLine:
    """One gate's verdict."""

    gate: str
    name: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric of both versions on the same held-out rows."""

    name: str
    champion: float | None
    candidate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Held:
    """One candidate that waits, or waited."""

    run_id: int
    version: str
    sha256: str
    champion: str | None
    state: str
    requested_at_us: int
    expires_at_us: int
    decided_at_us: int | None
    decided_by: str | None
    reason: str | None
    decision: str
    gates: tuple[GateLine, ...] = ()
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class ApprovalsView:
    """Waiting ones with their evidence, then the others; newest first."""

    waiting: tuple[Held, ...]
    past: tuple[Held, ...]


def read(reading: Reading, _params: Params) -> ApprovalsView:
    """Reads waiting candidates from the tables Approvals and ModelTrainingRuns."""
    found = reading.rows("approvals", _held)
    return ApprovalsView(
        tuple(one for one in found if one.state == "waiting"),
        tuple(one for one in found if one.state != "waiting"),
    )


def _held(connection: Connection) -> list[Held]:
    query = (
        select(table, runs.c.verdicts, runs.c.metrics, runs.c.statusmessage)
        .join(runs, runs.c.runid == table.c.runid, isouter=True)
        .order_by(table.c.runid.desc())
        .limit(_MOST)
    )
    return [_one(row) for row in connection.execute(query).mappings()]


def _one(row: Mapping[Any, Any]) -> Held:
    is_waiting = row["state"] == "waiting"
    return Held(
        run_id=row["runid"],
        version=row["version"],
        sha256=row["sha256"],
        champion=row["championversion"],
        state=row["state"],
        requested_at_us=row["requestedat"],
        expires_at_us=row["expiresat"],
        decided_at_us=row["decidedat"],
        decided_by=row["decidedby"],
        reason=row["reason"],
        decision=row["statusmessage"] or "",
        gates=_gates(row["verdicts"]) if is_waiting else (),
        figures=_figures(row["metrics"]) if is_waiting else (),
    )


def _gates(verdicts: Any) -> tuple[GateLine, ...]:
    listed = verdicts if isinstance(verdicts, list) else []
    return tuple(_gate(one) for one in listed if isinstance(one, dict))


def _gate(verdict: Mapping[str, Any]) -> GateLine:
    gate = str(verdict.get("gate"))
    return GateLine(
        gate,
        name=gate_name(gate),
        outcome=str(verdict.get("outcome")),
        reason=str(verdict.get("reason", "")),
    )


def _figures(metrics: Any) -> tuple[Figure, ...]:
    found = metrics if isinstance(metrics, dict) else {}
    candidate, champion = (found.get(name) or {} for name in ("candidate", "champion"))
    bounds = found.get("intervals") or {}
    return tuple(
        Figure(name, champion.get(name), value, *_bounds(bounds.get(name)))
        for name, value in candidate.items()
    )


def _bounds(found: Any) -> tuple[float | None, float | None]:
    is_pair = isinstance(found, list) and len(found) == 2
    return (found[0], found[1]) if is_pair else (None, None)


def rows(view: ApprovalsView) -> list[Row]:
    """One line a candidate."""
    return [
        {"version": one.version, "run_id": one.run_id, "state": one.state,
         "champion": one.champion, "requested_at_us": one.requested_at_us,
         "expires_at_us": one.expires_at_us, "decided_at_us": one.decided_at_us,
         "decided_by": one.decided_by, "reason": one.reason}
        for one in (*view.waiting, *view.past)
    ]  # fmt: skip


def _decide(path: str, sentence: str) -> Any:
    def carry_out(api: Api, operator: Operator, filled: Filled) -> str:
        body = ApprovalRequest(
            version=filled["version"], reason=filled.reason, sha256=filled["sha256"] or None
        )
        answer = api.change(path, operator, body, ApprovalView)
        return sentence.format(version=answer.version, run_id=answer.run_id)

    return carry_out


_FIELDS = (
    FormField("version", "Version", longest=64),
    FormField("sha256", "Digest", is_required=False, longest=64),
)
APPROVE = Deed(
    name="approve-model",
    button="Approve",
    fields=_FIELDS,
    warning="The candidate is signed and promoted within seconds, unless the live version has "
    "changed since it was judged.",
    command="understudy approve VERSION --reason TEXT",
    carry_out=_decide(
        "/approve_model", "{version} is approved; run {run_id} promotes it within seconds."
    ),
)
REFUSE = Deed(
    name="refuse-model",
    button="Refuse",
    fields=_FIELDS,
    warning="The live version stays. The next run trains another candidate.",
    command="understudy refuse VERSION --reason TEXT",
    carry_out=_decide("/refuse_model", "{version} is refused; the live version stays."),
    is_severe=True,
)
DEEDS = (APPROVE, REFUSE)

SCREEN = Screen(
    number=3,
    path="/approvals",
    name="Approvals",
    question="Which candidate waits for a person, and should it go live?",
    template="approvals.html",
    read=read,
    rows=rows,
    command=lambda _params: "understudy approvals",
)
