"""Tests that may be examined as often as one likes.

A test of fixed size, examined sixty times, cries wolf a fifth of the time. Each p-value here
is valid at every look at once: under the null hypothesis the chance that it *ever* falls to
alpha is at most alpha (Ville's inequality on a mixture of likelihood ratios). So a rollout may
be stopped at the first look that says so, and may run for as long as it takes.

- `mean_exceeds`: mixture sequential probability ratio test. Robbins 1970, "Statistical methods
  related to the law of the iterated logarithm"; Johari, Koomen, Pekelis and Walsh 2022,
  "Always valid inference", Operations Research 70(3). The estimated variance makes it
  asymptotic: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central
  limit theory and asymptotic confidence sequences", Annals of Statistics 52(6).
- `rate_exceeds` and `ratio_mismatch`: Lindon and Malek 2022, "Anytime-valid inference for
  multinomial count data", NeurIPS 35: for events too rare for a normal curve, and for the
  sample-ratio mismatch (Fabijan et al. 2019, KDD).
- `holm`: Holm 1979; with p-values that hold at every look it holds at every look too.
"""

from collections.abc import Mapping
from math import exp, inf, lgamma, log, log1p

from scipy.special import log_ndtr, logsumexp

# Failure ratios (canary to champion) of the mixture: from slightly more to always.
_RATIOS = (1.5, 2.0, 4.0, 8.0, 20.0, 100.0)
# Concentration of the mixture for the split around the requested share.
_SPLIT_WEIGHT = 100.0


def mean_exceeds(difference: float, variance: float, scale: float) -> float:
    """p-value against "the difference is zero or less".

    Args:
        difference: estimate, less whatever is tolerated.
        variance: of the estimate.
        scale: size of the differences that matter; the test is most alert there.
    """
    if variance <= 0:
        return 1.0
    # The mixture is a half-normal distribution over positive differences: one-sided, and e is at
    # most 1 in expectation for every negative difference as well.
    shrunk = scale**2 / (variance + scale**2)
    z_squared = difference**2 / variance
    side = difference * (shrunk / variance) ** 0.5
    log_evidence = log(2.0) + float(log_ndtr(side)) + 0.5 * (log1p(-shrunk) + shrunk * z_squared)
    return _p_value(log_evidence)


def mean_differs(difference: float, tolerated: float, variance: float, scale: float) -> float:
    """p-value against "the difference, up or down, is no more than what is tolerated"."""
    up = mean_exceeds(difference - tolerated, variance, scale)
    down = mean_exceeds(-difference - tolerated, variance, scale)
    return min(1.0, 2.0 * min(up, down))


def rate_exceeds(events: int, rows: int, other_events: int, other_rows: int) -> float:
    """p-value against "events are no more frequent here than there"; exact for rare events.

    Under the null an event falls here with the share of rows that are here.
    """
    total = events + other_events
    if total == 0 or rows == 0 or other_rows == 0:
        return 1.0
    share = rows / (rows + other_rows)
    logs = [events * log(ratio) - total * log(ratio * share + 1.0 - share) for ratio in _RATIOS]
    return _p_value(float(logsumexp(logs)) - log(len(_RATIOS)))


def ratio_mismatch(units: int, other_units: int, share: float) -> float:
    """p-value against "units fall here with probability `share`"; exact."""
    a, b = _SPLIT_WEIGHT * share, _SPLIT_WEIGHT * (1.0 - share)
    log_mixture = _log_beta(a + units, b + other_units) - _log_beta(a, b)
    log_null = units * log(share) + other_units * log1p(-share)
    return _p_value(log_mixture - log_null)


def holm(p_values: Mapping[str, float], alpha: float) -> list[str]:
    """The comparisons that are rejected, the clearest first; at most alpha of them in error."""
    rejected: list[str] = []
    for name, p_value in sorted(p_values.items(), key=lambda item: item[1]):
        if p_value > alpha / (len(p_values) - len(rejected)):
            break
        rejected.append(name)
    return rejected


def _p_value(log_evidence: float) -> float:
    return 1.0 if log_evidence <= 0 else exp(-min(log_evidence, 700.0))


def _log_beta(a: float, b: float) -> float:
    return -inf if min(a, b) <= 0 else lgamma(a) + lgamma(b) - lgamma(a + b)
