"""The API-health gate: a model is not pushed at a service that is not well."""

from scheduler.scoring_api import ApiUnavailable, Probe, ScoringApi
from shared.verdicts import Outcome, Verdict

GATE = "api_health"
HEALTH = "/api/health"
DOWN = "down"
# Before the first model the API is alive, but by definition not ready to score.
READY, ALIVE = "/readyz", "/livez"


def judge_api_health(api: ScoringApi, *, first_model: bool) -> Verdict:
    """PASS when both probes answer 2xx and nothing is down; an unreachable API is an ERROR.

    Degraded is not down: while the database is away the API scores, and can take a model.
    """
    paths = (ALIVE if first_model else READY, HEALTH)
    try:
        probes = [api.probe(path) for path in paths]
    except ApiUnavailable as error:
        return Verdict(GATE, Outcome.ERROR, str(error))
    ill = [probe for probe in probes if _is_ill(probe, first_model=first_model)]
    outcome = Outcome.FAIL if ill else Outcome.PASS
    return Verdict(GATE, outcome, ", ".join(map(_said, ill or probes)), _numbers(probes))


def _is_ill(probe: Probe, *, first_model: bool) -> bool:
    # without a model the API reports `down`, which the first model corrects
    is_down = probe.state == DOWN and not first_model
    return is_down or not 200 <= probe.status < 300


def _said(probe: Probe) -> str:
    state = f" ({probe.state})" if probe.state else ""
    return f"{probe.path} answered {probe.status}{state}"


def _numbers(probes: list[Probe]) -> dict[str, float | int | str | bool | None]:
    numbers: dict[str, float | int | str | bool | None] = {}
    for probe in probes:
        numbers[f"{probe.path} status"] = probe.status
        numbers[f"{probe.path} state"] = probe.state
        numbers[f"{probe.path} milliseconds"] = round(probe.milliseconds, 3)
    return numbers
