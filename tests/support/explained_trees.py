"""Explainers of small models that are really trained, one of each task."""

from functools import cache

import numpy as np

from learning.trainers.request import Recipe, TrainingRequest
from learning.trainers.train import export, fit
from shared.explain import Explainer
from shared.tasks import TaskKind
from tests.learning.trainers.rows import COLUMNS, TASKS, labels_of, matrix_of

Floats = np.ndarray
KINDS = list(TASKS)


@cache
def request_of(kind: TaskKind, *, categories: bool = True) -> TrainingRequest:
    matrix = matrix_of(1_500)
    columns = COLUMNS if categories else tuple(type(COLUMNS[0])(c.name) for c in COLUMNS)
    recipe = Recipe(settings={"iterations": 12})
    labels = labels_of(kind, matrix)
    return TrainingRequest(TASKS[kind], matrix, labels, columns, "1", recipes=(recipe,))


@cache
def fitted_of(kind: TaskKind, *, categories: bool = True) -> object:
    request = request_of(kind, categories=categories)
    return fit(request, request.recipes[0], slice(None))


@cache
def explainer_of(kind: TaskKind, *, categories: bool = True) -> Explainer:
    names = request_of(kind, categories=categories).names
    return Explainer.of(exported_of(kind, categories=categories), names)


@cache
def exported_of(kind: TaskKind, *, categories: bool = True) -> bytes:
    request = request_of(kind, categories=categories)
    return export(request, fitted_of(kind, categories=categories), None)  # type: ignore[arg-type]
