"""The last look before a push: is the run still ours, and is what it was judged against there?"""

import hashlib

from scheduler.cycle.run import CycleRun
from scheduler.decision import PromotionDecision, to_json
from shared.errors import UnderstudyError
from shared.tables.leases import announce_push


class LeaseLost(UnderstudyError):
    """Raised when another scheduler has taken over the run; this attempt's results are void."""


class ChampionChanged(UnderstudyError):
    """Raised when the API serves another model than the candidate was compared with."""


def check_champion(run: CycleRun) -> None:
    """Raise when the champion that was compared with is not the live version any more.

    Raises:
        ApiUnavailable: the live version is unknown.
        ChampionChanged: a push or rollback changed the live version since this run began.
    """
    serving = run.context.api.current()
    version = None if serving is None else serving.version
    judged = run.report.champion_version
    if version != judged:
        raise ChampionChanged(
            f"{version or 'no model'} serves, but the candidate was judged against "
            f"{judged or 'no model'}"
        )


def announce(run: CycleRun, decision: PromotionDecision, raw: bytes) -> None:
    """Record the version that is about to be pushed, so that a successor can ask the API for it.

    Raises:
        DataUnavailable: the database cannot be written now.
        LeaseLost: another scheduler holds the run now.
    """
    claim = run.claim
    if claim is None or claim.fencing_number is None:
        return
    is_ours = announce_push(
        run.context.engine,
        claim.run_id,
        claim.fencing_number,
        run.context.lease_seconds,
        modelversion=decision.inputs.candidate_version,
        championversion=decision.inputs.champion_version,
        candidatesha256=hashlib.sha256(raw).hexdigest(),
        decision=to_json(decision),
    )
    if not is_ours:
        raise LeaseLost("another scheduler has taken this run over")
