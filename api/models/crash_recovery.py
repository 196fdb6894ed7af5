"""After a death inside of a version's code, and before anybody is served.

What crashed on trial is not tried again; what crashes in service again and again is left.
"""

from contextlib import suppress

import structlog

from api.models.rollback import Rollback
from api.rollout.change_request import ChangeRequest
from api.rollout.refusals import NoRollout, RolloutConflict
from api.service import Service

_log = structlog.get_logger()
_WHO = "crash"
_WRITE_WAIT_SECONDS = 5.0


def roll_back_crashing_version(service: Service) -> None:
    """Before the restore: point to the version before the one that kills the process."""
    current = service.registry.current()
    if current is None or not service.crashes.is_too_many(current):
        return
    try:
        with service.promoter.writing(_WRITE_WAIT_SECONDS):
            service.promoter.pointer.open_registry()
            _roll_back(service, current)
    except OSError as error:
        _log.error("crashing_version_not_left", reason=str(error))


def end_crashed_trials(service: Service, died: set[str]) -> None:
    """Before the trial is taken up again: one death is enough for a version on trial."""
    for version in sorted(died):
        ask = ChangeRequest(version, "candidate_crashed: a process died inside of its code", _WHO)
        try:
            # Another worker may have said so already, or it was the champion.
            with suppress(NoRollout, RolloutConflict):
                service.rollout_controller.abort(ask)
        except OSError as error:
            _log.error("crashed_rollout_not_recorded", version=version, reason=str(error))


def _roll_back(service: Service, current: str) -> None:
    """Callers are alone with the registry."""
    registry, crashes = service.registry, service.crashes
    if registry.current() != current:
        return  # another worker was faster
    target = registry.fallback_for(current)
    if target is None:
        _log.error("crashing_version_has_no_fallback", version=current)
        return
    reason = f"{crashes.recent(current)} processes died inside of its code"
    now_us = service.clock.now_us()
    step = Rollback(target, current, current, _WHO, _WHO, reason, now_us)
    step.record(registry, service.audit)
    service.metrics.rollbacks.inc()
    _log.error("crashing_version_left", version=target, left=current, reason=reason)
