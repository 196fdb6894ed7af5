"""The bins in which scores of two versions are counted, from the champion's own predictions.

Every worker reads the same bundle and so has the same bins; their counts can be added.
"""

from collections.abc import Sequence

import structlog

from api.models.score_edges import are_probabilities, score_edges_of
from api.registry.registry import BUNDLE, Registry
from api.rollout.arm_counts import SCORE_EDGES
from shared.bundle.archive import unpack
from shared.errors import UnderstudyError
from shared.tasks.observed import range_edges

_log = structlog.get_logger()


def score_edges(registry: Registry, champion: str) -> tuple[float, ...]:
    """Fixed ones for a probability; else those of the champion's predictions on held-out rows."""
    meta = registry.meta(champion)
    components: Sequence[str] = () if meta is None else meta.manifest["components"]
    if are_probabilities(components):
        return SCORE_EDGES
    try:
        raw = (registry.root / "versions" / champion / BUNDLE).read_bytes()
        return score_edges_of(components, unpack(raw), SCORE_EDGES)
    except (UnderstudyError, OSError) as error:
        _log.warning("version_has_no_score_bins", version=champion, reason=str(error)[:300])
        return range_edges(())
