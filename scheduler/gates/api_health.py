"""The API-health gate: a model is not pushed at a service that is not well."""

from scheduler.scoring_api import ApiUnavailable, Probe, ScoringApi
from shared.verdicts import Outcome, Verdict

GATE = "api_health"
HEALTH = "/api/health"
# Before the first model the API is alive, but by definition not ready to score.
READY, ALIVE = "/readyz", "/livez"


def judge_api_health(api: ScoringApi, *, first_model: bool) -> Verdict:
    """PASS when both probes answer 2xx; an API that cannot be reached is an ERROR."""
    paths = (ALIVE if first_model else READY, HEALTH)
    try:
        probes = [api.probe(path) for path in paths]
    except ApiUnavailable as error:
        return Verdict(GATE, Outcome.ERROR, str(error))
    ill = [probe for probe in probes if not 200 <= probe.status < 300]
    outcome = Outcome.FAIL if ill else Outcome.PASS
    said = ", ".join(f"{probe.path} answered {probe.status}" for probe in ill or probes)
    return Verdict(GATE, outcome, said, _numbers(probes))


def _numbers(probes: list[Probe]) -> dict[str, float | int | str | bool | None]:
    numbers: dict[str, float | int | str | bool | None] = {}
    for probe in probes:
        numbers[f"{probe.path} status"] = probe.status
        numbers[f"{probe.path} milliseconds"] = round(probe.milliseconds, 3)
    return numbers
