"""Alpha spending: the year's error, divided over its rounds, so that weekly attempts fit in it.

By Bonferroni the chance of a false promotion in any of the rounds is at most the sum of their
errors, however the rounds depend on each other (the same champion, windows that overlap). Nine
tenths are spread evenly over the planned rounds; the last tenth is kept for unplanned ones (drift,
a person), each taking the same share of the remainder, so that it never runs out and the sum never
exceeds the year's error.
"""

_PLANNED_SHARE = 0.9


def round_alpha(yearly_alpha: float, planned_rounds: int, round_number: int) -> float:
    """The error this round may have; `round_number` counts the year's comparisons from 1.

    Raises:
        ValueError: no planned rounds, a round below 1, or an error outside (0, 1).
    """
    if planned_rounds < 1 or round_number < 1 or not 0.0 < yearly_alpha < 1.0:
        raise ValueError(
            f"cannot spend {yearly_alpha} over {planned_rounds} rounds at round {round_number}"
        )
    if round_number <= planned_rounds:
        return yearly_alpha * _PLANNED_SHARE / planned_rounds
    unplanned = round_number - planned_rounds - 1
    share = 1.0 / (planned_rounds + 1)
    return yearly_alpha * (1.0 - _PLANNED_SHARE) * share * (1.0 - share) ** unplanned


def alpha_left(yearly_alpha: float, planned_rounds: int, rounds: int) -> float:
    """The remaining error of the year after this many rounds."""
    spent = sum(round_alpha(yearly_alpha, planned_rounds, k) for k in range(1, rounds + 1))
    return yearly_alpha - spent
