"""The similarity of two models of the Handbook data, and the uncertainty of their difference.

The calibration of the gate simulates models; these are the figures that it has to resemble.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from scheduler.statistics.compare import compare_sample
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.measure import MeasurementPlan
from scheduler.statistics.ranking import auc_with_influence
from scheduler.statistics.sample import Codes
from shared.clock import MICROS_PER_DAY
from shared.usecase.learning import Labels
from shared.usecase.serving import FloatMatrix
from usecases.fraud.features.catalogue import KERNEL_FEATURES
from usecases.fraud.training.classifier import fit_classifier
from usecases.fraud.training.policy import read_policy

DELAY_DAYS = TEST_DAYS = 7
TEST_WEEKS = 5
AT_POSITIVES = 500
PLAN = MeasurementPlan()


@dataclass(frozen=True)
class Labelled:
    """Every row of the history, with features and labels."""

    rows: pl.DataFrame
    matrix: FloatMatrix
    labels: Labels

    def days(self) -> tuple[Codes, int]:
        day: Codes = self.rows["event_time"].to_numpy() // MICROS_PER_DAY
        return day, int(day.max())


def dependence(history: Labelled, train_days: int) -> dict[str, float]:
    """Means over test weeks; errors are those 500 positives would have."""
    found = [_figures(evidence) for evidence in _weeks(history, train_days)]
    return {name: float(np.mean([week[name] for week in found])) for name in found[0]}


def _weeks(history: Labelled, train_days: int) -> Iterator[Evidence]:
    """The newest test weeks, each scored by the models of that week and of the week before."""
    day, last = history.days()
    first = last + 1 - TEST_WEEKS * TEST_DAYS
    starts = range(first - TEST_DAYS, last, TEST_DAYS)
    models = []
    # the Handbook's data has no categories, so the kernel's features are all features
    recipe = read_policy().classifier.candidates["blend"]
    for start in starts:
        end = start - DELAY_DAYS
        train = np.flatnonzero((day >= end - train_days) & (day < end))
        matrix = history.matrix[train, :KERNEL_FEATURES]
        models.append(fit_classifier(matrix, history.labels[train], recipe, seed=0))
    for week, start in enumerate(starts):
        if week == 0:
            continue
        test = np.flatnonzero((day >= start) & (day < start + TEST_DAYS))
        rows = history.matrix[test, :KERNEL_FEATURES]
        yield Evidence(
            champion=models[week - 1].score(rows),
            candidate=models[week].score(rows),
            labels=history.labels[test],
            customers=history.rows["user_id"][test].rank("dense").to_numpy().astype(np.int64),
            days=day[test].astype(np.int64),
        )


def _figures(evidence: Evidence) -> dict[str, float]:
    sample = evidence.sample()
    scale = np.sqrt(sample.positives / AT_POSITIVES)
    terms = [
        auc_with_influence(scores, sample.positive)[1][sample.positive]
        for scores in (sample.champion, sample.candidate)
    ]
    alone = auc_with_influence(sample.candidate, sample.positive)[1]
    by_customer = Evidence(
        evidence.champion, evidence.candidate, evidence.labels, evidence.customers
    )
    errors = {
        "by_customer": compare_sample(by_customer.sample(), "auc", 0.05, PLAN),
        "by_customer_and_day": compare_sample(sample, "auc", 0.05, PLAN),
        "average_precision": compare_sample(sample, "average_precision", 0.05, PLAN),
    }
    return {
        "correlation": float(np.corrcoef(terms[0], terms[1])[0, 1]),
        "error_of_one_area": float(np.sqrt(np.square(alone).sum())) * scale,
        **{
            f"error_of_difference_{name}": float(np.sqrt(found.spread.variance)) * scale
            for name, found in errors.items()
        },
    }
