"""The last look before a push: is the run still ours, and is what it was judged against there?"""

import hashlib

from scheduler.cycle.run import CycleRun
from scheduler.decision import PromotionDecision, to_json
from shared.errors import UnderstudyError
from shared.tables.leases import announce_push


class LeaseLost(UnderstudyError):
    """Raised when somebody else has taken the run over; whatever it found out is theirs."""


class ChampionChanged(UnderstudyError):
    """Raised when the API serves another model than the candidate was compared with."""


def check_champion(run: CycleRun) -> None:
    """Leave the cycle when the comparison carries no information about the live version now.

    Raises:
        ApiUnavailable: the live version is unknown.
        ChampionChanged: somebody pushed or rolled back since this run began.
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
    """Write down what is about to be pushed, so that whoever takes over can ask for it.

    Raises:
        DataUnavailable: the database cannot be written now.
        LeaseLost: it is not ours to push any more.
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
