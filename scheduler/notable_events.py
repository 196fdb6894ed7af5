"""Events people are notified of, found in what is recorded anyway.

Ended runs and waiting candidates come from the database, changes of the live version from the API's
audit trail: so an event is found whatever caused it, and also after an outage.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Engine, or_, select

from scheduler.drift.alarm import ALARM
from scheduler.schedule.jobs import DRIFT, RETRAINING
from shared.clock import MICROS_PER_DAY, isoformat, to_micros, to_the_second
from shared.contracts.people import AuditEntry, AuditTrailView
from shared.tables.approvals import Approval, waiting
from shared.tables.engine import database_errors
from shared.tables.notifications import Event, Notification
from shared.tables.runs import RunStatus
from shared.tables.schema import model_training_runs as runs

WINDOW_US = 30 * MICROS_PER_DAY
"""A rollout ends its run after the run's own end: so far back it is looked for."""
MOST_LINES = 100
_TEXT_CHARACTERS = 1_000

_OF_STATUS = {
    RunStatus.SUCCEEDED.value: Event.PROMOTED,
    RunStatus.REFUSED.value: Event.REFUSED,
    RunStatus.FAILED.value: Event.FAILED,
}
_LEFT = {
    "rollback": "was rolled back",
    "breaker": "was rolled back by the circuit breaker",
    "crash": "was rolled back after crashes",
    "revocation": "was revoked",
}


class AuditApi(Protocol):
    """The part of the API that tells the trail. Raises ApiUnavailable."""

    def audit(self, limit: int) -> AuditTrailView: ...


@dataclass(frozen=True, slots=True)
class Events:
    """Finds events since an instant; reads only."""

    engine: Engine
    api: AuditApi
    use_case: str

    def recorded(self, since_us: int, now_us: int) -> list[Notification]:
        """Events of the database.

        Raises:
            DataUnavailable: it cannot be read.
        """
        begin_us = max(since_us, now_us - WINDOW_US)
        return [
            *filter(None, map(self._of_run, self._ended(begin_us))),
            *(self._of_approval(one) for one in waiting(self.engine)
              if one.requested_at_us >= begin_us),
        ]  # fmt: skip

    def of_trail(self, since_us: int) -> list[Notification]:
        """Events of the API's audit trail.

        Raises:
            ApiUnavailable, DataUnavailable: it cannot be read.
        """
        fresh = [one for one in self.api.audit(MOST_LINES).entries if _at_us(one) >= since_us]
        by_runs = self._versions_of_runs([one.version for one in fresh if one.version])
        return list(filter(None, (self._of_line(one, by_runs) for one in reversed(fresh))))

    def _ended(self, begin_us: int) -> Sequence[Any]:
        query = (
            select(
                runs.c.runid, runs.c.jobname, runs.c.status, runs.c.statuscode,
                runs.c.statusmessage, runs.c.finishedat, runs.c.modelversion,
                runs.c.championversion, runs.c.metrics,
            )
            .where(
                runs.c.finishedat >= isoformat(begin_us),
                or_(runs.c.jobname == DRIFT, runs.c.jobname == RETRAINING),
                runs.c.status.in_(list(_OF_STATUS)),
            )
            .order_by(runs.c.runid)
        )  # fmt: skip
        with database_errors("read ended runs"), self.engine.connect() as connection:
            return connection.execute(query).all()

    def _versions_of_runs(self, versions: list[str]) -> frozenset[str]:
        query = select(runs.c.modelversion).where(runs.c.modelversion.in_(versions))
        with database_errors("read versions of runs"), self.engine.connect() as connection:
            return frozenset(connection.scalars(query))

    def _of_run(self, run: Any) -> Notification | None:
        event = _OF_STATUS[run.status]
        if run.jobname == DRIFT:
            has_drifted = isinstance(run.metrics, dict) and run.metrics.get(ALARM) is True
            if event is not Event.FAILED and not has_drifted:
                return None
            event = Event.FAILED if event is Event.FAILED else Event.DRIFT
        what = {
            Event.PROMOTED: f"version {run.modelversion} was promoted",
            Event.REFUSED: f"candidate {run.modelversion or ''} was refused".replace("  ", " "),
            Event.FAILED: f"the {run.jobname} run {run.runid} failed",
            Event.DRIFT: "the data has drifted",
        }[event]
        happened_us = to_micros(datetime.fromisoformat(run.finishedat))
        return self._made(
            f"run/{run.runid}/{run.status}",
            event,
            happened_us,
            what,
            run.statusmessage,
            run_id=run.runid,
            code=run.statuscode,
            version=run.modelversion,
            champion=run.championversion,
        )

    def _of_approval(self, one: Approval) -> Notification:
        return self._made(
            f"approval/{one.run_id}/{one.requested_at_us}",
            Event.APPROVAL_WANTED,
            one.requested_at_us,
            f"candidate {one.version} passed every gate and waits for a person",
            f"understudy approve {one.version}, until {to_the_second(one.expires_at_us)}",
            run_id=one.run_id,
            version=one.version,
            champion=one.champion_version,
        )

    def _of_line(self, line: AuditEntry, by_runs: frozenset[str]) -> Notification | None:
        version, previous = line.version, line.details.get("previous")
        if line.what == "promotion" and version not in by_runs:
            event, what = Event.PROMOTED, f"version {version} was promoted"
        elif line.what == "rollout-ended" and line.details.get("outcome") != "promoted":
            event, what = Event.ROLLED_BACK, f"the trial of version {version} was ended"
        elif line.what in _LEFT:
            left = version if line.what == "revocation" else previous or version
            event, what = Event.ROLLED_BACK, f"version {left} {_LEFT[line.what]}"
            if line.what != "revocation":
                what += f"; {version} serves"
        else:
            return None
        return self._made(
            f"audit/{line.number}/{line.at}",
            event,
            _at_us(line),
            f"{what}, by {line.who}",
            line.why,
            version=version,
            champion=previous,
            who=line.who,
        )

    def _made(
        self, source: str, event: Event, at_us: int, what: str, why: str | None, **more: Any
    ) -> Notification:
        said = f"{self.use_case}: {what}" + (f": {why}" if why else "")
        body = {
            "text": slack_text(said[:_TEXT_CHARACTERS]),
            "event": event.value,
            "at": isoformat(at_us),
            "use_case": self.use_case,
            "reason": why,
            **more,
        }
        known = {name: value for name, value in body.items() if value is not None}
        return Notification(source[:128], event, at_us, known)


def slack_text(text: str) -> str:
    """Text in which nothing is a mention or a link: Slack reads &, < and > as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def wanted(found: Iterable[Notification], events: frozenset[Event]) -> Iterator[Notification]:
    """Events of the kinds that people subscribed to."""
    return (one for one in found if one.event in events)


def _at_us(line: AuditEntry) -> int:
    """0 for a line that was left unfinished."""
    try:
        return to_micros(datetime.fromisoformat(line.at or ""))
    except ValueError:
        return 0
