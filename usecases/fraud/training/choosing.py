"""Choice among candidates of a training, by how they rank rows they have not seen.

Every candidate is fitted without a part of the training rows and judged on that part. Plain
gradient boosting is the baseline: another candidate is taken only where it is clearly better.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from shared.errors import TrainingFailed
from shared.execution.executor import TaskFailed, Watch, current_executor, ignore
from shared.usecase.learning import Labels
from shared.usecase.serving import FloatMatrix

from .classifier import Classifier, Fitter, Scores
from .recipe import ClassifierChoice

_POSITIVE = 1


@dataclass(frozen=True, slots=True)
class Validated:
    """A candidate's mean result over the parts it was judged on."""

    average_precision: float
    auc: float
    node_visits: float


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen candidate, and the reason.

    Attributes:
        table: candidate -> its result; empty where no part could be judged.
        rows: how many rows it was judged on.
        newest: the newest rows, by which thresholds are set.
        newest_scores: of these by a model that has not seen them, or None.
    """

    name: str
    table: Mapping[str, Validated]
    rows: int
    newest: slice
    newest_scores: Scores | None

    def told(self) -> dict[str, Any]:
        """The entry of the manifest."""
        return {
            "candidate": self.name,
            "validation_rows": self.rows,
            "validation": {
                name: {
                    "average_precision": round(each.average_precision, 4),
                    "auc": round(each.auc, 4),
                    "node_visits": round(each.node_visits),
                }
                for name, each in self.table.items()
            },
        }


@dataclass(frozen=True, slots=True)
class TrainingExamples:
    """The training rows, in time order.

    Attributes:
        word_columns: positions of the features that are codes of words.
    """

    matrix: FloatMatrix
    labels: Labels
    word_columns: Sequence[int]
    seed: int

    def fitter(self, recipe: ClassifierChoice, rows: npt.NDArray[np.bool_] | None = None) -> Fitter:
        """A fitter on all rows, or on a sample of the negatives that suffices for a comparison."""
        words = (self.word_columns, recipe.words)
        if rows is None:
            return Fitter(self.matrix, self.labels, words, self.seed)
        return Fitter(
            self.matrix,
            self.labels[rows],
            words,
            self.seed,
            rows=np.flatnonzero(rows),
            max_negatives=recipe.max_negatives,
        )


def choose(examples: TrainingExamples, recipe: ClassifierChoice, watch: Watch = ignore) -> Choice:
    """Fit and judge every candidate on every part; a part is a task of the run's executor."""
    parts = _parts(len(examples.labels), recipe)
    judged = [
        part
        for part in parts
        if len(np.unique(examples.labels[part])) == 2
        and len(np.unique(examples.labels[_all_but(part, examples)])) == 2
    ]
    names = [f"rows {part.start} to {part.stop}" for part in judged]
    found = _judge_all(examples, recipe, judged, names, watch)
    table = {name: _mean([each[name][0] for each in found]) for name in recipe.candidates if found}
    name = _best(table, recipe)
    newest_scores = None
    if judged and judged[0] == parts[0]:
        newest_scores = found[0][name][1]
    rows = sum(part.stop - part.start for part in judged)
    return Choice(name, table, rows, parts[0], newest_scores)


def _parts(rows: int, recipe: ClassifierChoice) -> list[slice]:
    """The newest part first."""
    share = rows - round(rows * (1.0 - recipe.validation_share))
    size = min(share, recipe.max_validation_rows)
    count = recipe.parts if recipe.parts_from_rows <= rows <= recipe.parts_to_rows else 1
    return [slice(rows - (number + 1) * size, rows - number * size) for number in range(count)]


def _all_but(part: slice, examples: TrainingExamples) -> npt.NDArray[np.bool_]:
    others = np.ones(len(examples.labels), dtype=np.bool_)
    others[part] = False
    return others


def _judge_all(
    examples: TrainingExamples,
    recipe: ClassifierChoice,
    parts: Sequence[slice],
    names: Sequence[str],
    watch: Watch,
) -> list[dict[str, tuple[Validated, Scores]]]:
    common = (examples, recipe)
    try:
        return current_executor().map(judge, common, parts, names=names, watch=watch)
    except TaskFailed as error:
        raise TrainingFailed(f"classifier: {error}") from error


def judge(
    common: tuple[TrainingExamples, ClassifierChoice], part: slice
) -> dict[str, tuple[Validated, Scores]]:
    """Every candidate, learned from the other rows: its results on this part, and its scores."""
    with threadpool_limits(1):
        return _judge(*common, part)


def _judge(
    examples: TrainingExamples, recipe: ClassifierChoice, part: slice
) -> dict[str, tuple[Validated, Scores]]:
    fitter = examples.fitter(recipe, _all_but(part, examples))
    matrix, positive = examples.matrix[part], examples.labels[part] == _POSITIVE
    found = {}
    for name, candidate in recipe.candidates.items():
        classifier: Classifier = fitter.fit(candidate)
        scores = classifier.score(matrix)
        figures = Validated(
            float(average_precision_score(positive, scores)),
            float(roc_auc_score(positive, scores)),
            classifier.node_visits,
        )
        found[name] = figures, scores
    return found


def _mean(parts: Sequence[Validated]) -> Validated:
    return Validated(
        float(np.mean([part.average_precision for part in parts])),
        float(np.mean([part.auc for part in parts])),
        float(np.mean([part.node_visits for part in parts])),
    )


def _best(table: Mapping[str, Validated], recipe: ClassifierChoice) -> str:
    """The first one where none could be judged, or none is within the budget.

    Another one than the baseline has to be clearly better, so the choice is never worse there.
    """
    cheap = {
        name: each for name, each in table.items() if each.node_visits <= recipe.max_node_visits
    }
    if not cheap:
        return next(iter(recipe.candidates))
    best = max(cheap, key=lambda name: cheap[name].average_precision)
    baseline = cheap.get(recipe.baseline)
    if baseline is None:
        return best
    lead = cheap[best].average_precision - baseline.average_precision
    return best if lead > recipe.margin else recipe.baseline
