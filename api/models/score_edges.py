"""The bins in which scores of a version are counted: fixed ones, or its own predictions'."""

from collections.abc import Sequence

import orjson
import structlog

from shared.bundle.archive import Bundle
from shared.tasks.observed import PROBABILITY_EDGES, range_edges

BASELINE = "baseline.json"
_NO_PROBABILITY = ("prediction", "probability ", "score ")
_log = structlog.get_logger()


def are_probabilities(components: Sequence[str]) -> bool:
    """True if scores of such a version lie between 0 and 1 by definition."""
    return not components or not components[0].startswith(_NO_PROBABILITY)


def score_edges_of(
    components: Sequence[str], bundle: Bundle, fixed: tuple[float, ...] = PROBABILITY_EDGES
) -> tuple[float, ...]:
    """`fixed` for a probability; else those of the version's predictions on held-out rows."""
    if are_probabilities(components):
        return fixed
    try:
        baseline = orjson.loads(bundle.files[BASELINE])
        return range_edges(baseline["columns"]["score"]["edges"])
    except (KeyError, TypeError, ValueError) as error:
        version = bundle.manifest.version
        _log.warning("version_has_no_score_bins", version=version, reason=repr(error)[:300])
        return range_edges(())
