"""The words a classifier knows: codes of categories to places in an order, and back to a graph.

Words are ordered by how often their rows are positive, so that one split of a tree tells the
risky ones from the others. A word that is not known, and no word at all, is UNKNOWN: rare words
of the training rows are, too, so the trees have learned what to think of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from learning.dataset.mapped import release_pages
from learning.export.graph import INPUT, Builder
from learning.export.trees import ML_DOMAIN, Ints
from shared.usecase.learning import Labels
from shared.usecase.serving import FloatMatrix, FloatVector

from .recipe import WordsRecipe

UNKNOWN = -1.0
_POSITIVE = 1


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Code -> place, for the columns in which at least two words are distinguished.

    Attributes:
        columns: positions of those columns in the served matrix.
        silent: positions of the others that hold codes: fewer than two distinct words.
        codes: in ascending order; no two columns share one.
        places: what each stands for, from 0 in each column.
        width: of the served matrix.
    """

    columns: Ints
    silent: Ints
    codes: FloatVector
    places: FloatVector
    width: int

    def look_up(self, matrix: FloatMatrix) -> FloatMatrix:
        """The places of the words of each row, (rows, columns)."""
        words = matrix[:, self.columns]
        if not len(self.codes):
            return np.full_like(words, UNKNOWN)
        at = np.searchsorted(self.codes, words).clip(max=len(self.codes) - 1)
        return np.where(self.codes[at] == words, self.places[at], np.float32(UNKNOWN))

    def prepare(
        self, matrix: FloatMatrix, dtype: type[np.floating] = np.float32
    ) -> npt.NDArray[np.floating]:
        """A copy that has places where the words' codes were: what trees are fitted on."""
        prepared = matrix.astype(dtype)
        prepared[:, self.silent] = 0.0
        if len(self.columns):
            prepared[:, self.columns] = self.look_up(matrix)
        return prepared

    def widen(self, matrix: FloatMatrix) -> FloatMatrix:
        """The matrix with the places beside it: what trees read in the graph."""
        if not len(self.columns):
            return matrix
        return np.column_stack([matrix, self.look_up(matrix)])

    @property
    def told(self) -> Ints:
        """The informative columns of a prepared matrix."""
        return np.setdiff1d(np.arange(self.width), self.silent)

    @property
    def wide_columns(self) -> Ints:
        """The place of each column of a prepared matrix in a widened one."""
        places = np.arange(self.width)
        places[self.columns] = self.width + np.arange(len(self.columns))
        return places

    def export(self, builder: Builder, prefix: str) -> str:
        """Add the look-up to a graph; returns the name of the widened rows."""
        if not len(self.columns):
            return INPUT
        columns = builder.constant(f"{prefix}_word_columns", self.columns, np.int64)
        words = builder.add("Gather", [INPUT, columns], f"{prefix}_words", axis=1)
        places = builder.add(
            "LabelEncoder",
            [words],
            f"{prefix}_places",
            domain=ML_DOMAIN,
            keys_floats=self.codes.tolist(),
            values_floats=self.places.tolist(),
            default_float=UNKNOWN,
        )
        return builder.add("Concat", [INPUT, places], f"{prefix}_inputs", axis=1)


def fit_vocabulary(
    matrix: FloatMatrix,
    labels: Labels,
    columns: Sequence[int],
    recipe: WordsRecipe,
    rows: Ints | None = None,
) -> Vocabulary:
    """The words of the rows that are learned from: `rows` of the matrix, or all."""
    used, codes, places = [], [], []
    for column in columns:
        words = matrix[:, column] if rows is None else matrix[rows, column]
        release_pages(matrix)
        known, order = _words(words, labels, recipe)
        if len(known) + _has_others(words, known) < 2:
            continue
        used.append(column)
        codes.append(known)
        places.append(order)
    nothing = np.empty(0, dtype=np.float32)
    # on a hash collision of two columns the first keeps the code
    every, first = np.unique(np.concatenate([nothing, *codes]), return_index=True)
    return Vocabulary(
        columns=np.asarray(used, dtype=np.int64),
        silent=np.asarray([each for each in columns if each not in used], dtype=np.int64),
        codes=every,
        places=np.concatenate([nothing, *places])[first],
        width=matrix.shape[1],
    )


def _words(
    column: FloatVector, labels: Labels, recipe: WordsRecipe
) -> tuple[FloatVector, FloatVector]:
    """Codes that are frequent enough, and their places by the rate of positives."""
    codes, inverse, rows = np.unique(
        column, return_inverse=True, return_counts=True, equal_nan=True
    )
    positives = np.bincount(inverse.reshape(-1), labels == _POSITIVE, minlength=len(codes))
    usual = positives.sum() / max(len(labels), 1)
    rate = (positives + usual * recipe.prior_rows) / (rows + recipe.prior_rows)
    known = np.flatnonzero(~np.isnan(codes) & (rows >= recipe.min_rows))
    known = known[np.argsort(-rows[known], kind="stable")][: recipe.max_words]
    known = known[np.argsort(rate[known], kind="stable")]
    return codes[known], np.arange(len(known), dtype=np.float32)


def _has_others(column: FloatVector, known: FloatVector) -> bool:
    return bool((~np.isin(column, known)).any())
