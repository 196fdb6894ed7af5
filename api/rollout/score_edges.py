"""The bins in which scores of two versions are counted, from the champion's own predictions.

Every worker reads the same bundle and so has the same bins; their counts can be added.
"""

from collections.abc import Sequence

import orjson
import structlog

from api.registry.registry import BUNDLE, Registry
from api.rollout.arm_counts import SCORE_EDGES
from shared.bundle.archive import unpack
from shared.errors import UnderstudyError
from shared.tasks.observed import range_edges

BASELINE = "baseline.json"
_NO_PROBABILITY = ("prediction", "probability ", "score ")
_log = structlog.get_logger()


def score_edges(registry: Registry, champion: str) -> tuple[float, ...]:
    """Fixed ones for a probability; else those of the champion's predictions on held-out rows."""
    meta = registry.meta(champion)
    components: Sequence[str] = () if meta is None else meta.manifest["components"]
    if not components or not components[0].startswith(_NO_PROBABILITY):
        return SCORE_EDGES
    try:
        raw = (registry.root / "versions" / champion / BUNDLE).read_bytes()
        baseline = orjson.loads(unpack(raw).files[BASELINE])
        return range_edges(baseline["columns"]["score"]["edges"])
    except (UnderstudyError, OSError, KeyError, TypeError, ValueError) as error:
        _log.warning("champion_has_no_score_bins", version=champion, reason=str(error)[:300])
        return range_edges(())
