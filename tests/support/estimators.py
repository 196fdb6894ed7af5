"""Estimators as a person would write them in a module of his own."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import LinearSVC

from learning.export.graph import Builder

NUMBERS, WORDS = ["age", "income"], ["city", "plan"]


def _prepared() -> ColumnTransformer:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    words = OneHotEncoder(handle_unknown="ignore")
    return ColumnTransformer([("numbers", numbers, NUMBERS), ("words", words, WORDS)])


def logistic() -> Pipeline:
    return Pipeline([("prepare", _prepared()), ("model", LogisticRegression(max_iter=500))])


forest = Pipeline([("prepare", _prepared()), ("model", RandomForestRegressor(20, max_depth=6))])


def _ordinal() -> ColumnTransformer:
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return ColumnTransformer([("words", codes, WORDS)], remainder="passthrough")


def wrongly_converted() -> Pipeline:
    """The converter makes comparisons of categorical splits (sklearn-onnx 1051)."""
    boosting = HistGradientBoostingClassifier(max_iter=10, categorical_features=[0, 1])
    return Pipeline([("codes", _ordinal()), ("boosting", boosting)])


def not_convertible() -> Pipeline:
    numbers = make_pipeline(SimpleImputer(), FunctionTransformer(np.cbrt))
    prepared = ColumnTransformer([("numbers", numbers, NUMBERS)])
    return Pipeline([("prepare", prepared), ("model", LogisticRegression())])


def needs_a_column_that_is_not_there() -> Pipeline:
    missing = ColumnTransformer([("numbers", StandardScaler(), ["salary"])])
    return Pipeline([("prepare", missing), ("model", LogisticRegression())])


def without_probabilities() -> Pipeline:
    return Pipeline([("prepare", _prepared()), ("model", LinearSVC())])


class Votes(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Its probabilities are counts."""

    def fit(self, _frame: Any, labels: Any) -> "Votes":
        self.classes_ = np.unique(labels)
        return self

    def predict_proba(self, frame: Any) -> Any:
        return np.tile([1.0, 3.0], (len(frame), 1))


votes = Votes()


class Guesses(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Answers something else whenever it is asked."""

    def fit(self, _frame: object, _labels: object) -> "Guesses":
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, frame: object) -> np.ndarray:
        return np.random.default_rng().random((len(frame), 2))  # type: ignore[arg-type]


class Raises(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    def fit(self, _frame: object, _labels: object = None) -> "Raises":
        raise RuntimeError("the licence has expired")

    def transform(self, frame: object) -> object:
        return frame


def raising() -> Pipeline:
    return Pipeline([("own", Raises()), ("model", LogisticRegression())])


guesses = Guesses()


class Linear(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Answers a line in one column, which may not be there, in one of several wrong ways."""

    def __init__(self, *, fault: str = "none", column: str = "age") -> None:
        self.fault = fault
        self.column = column

    def fit(self, _frame: Any, _labels: Any) -> "Linear":
        return self

    def predict(self, frame: Any) -> Any:
        if self.fault == "raises":
            raise ZeroDivisionError("no rows of this kind")
        if self.fault == "exits":
            raise SystemExit(3)
        answer = frame[self.column].to_numpy()
        return answer[:-1] if self.fault == "shape" else answer


of_salary = Linear(column="salary")
with_missing = Linear()
raises_later, exits, short = (Linear(fault=fault) for fault in ("raises", "exits", "shape"))


class Unclonable(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Changes its parameter when it is made."""

    def __init__(self, sizes: Any = (3, 4)) -> None:
        self.sizes = list(sizes)

    def fit(self, _frame: Any, _labels: Any) -> "Unclonable":
        return self


unclonable = Unclonable()
no_estimator = 3


class Nearest(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A line in one column, as nodes of its own; wrong ones on request."""

    def __init__(self, *, is_right: bool = True) -> None:
        self.is_right = is_right

    def fit(self, frame: Any, labels: Any) -> "Nearest":
        self.mean_, self.weight_ = float(np.mean(labels)), 0.25
        self.usual_ = float(np.nanmean(frame["age"]))
        return self

    def predict(self, frame: Any) -> np.ndarray:
        age = frame["age"].fillna(self.usual_).to_numpy()
        return np.asarray(self.mean_ + self.weight_ * (age - self.usual_))

    def add_nodes(self, builder: Builder, columns: Mapping[str, str]) -> str:
        usual = builder.constant("usual", self.usual_)
        missing = builder.add("IsNaN", [columns["age"]], "missing")
        age = builder.add("Where", [missing, usual, columns["age"]], "age")
        above = builder.add("Sub", [age, usual], "above")
        weight = builder.constant("weight", self.weight_ if self.is_right else 0.3)
        return builder.add(
            "Add", [builder.add("Mul", [above, weight], "part"),
                    builder.constant("mean", self.mean_)], "answer",
        )  # fmt: skip


own_nodes = Nearest()
wrong_nodes = Nearest(is_right=False)
