"""Estimators as a person would write them in a module of his own."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import LinearSVC

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


no_estimator = 3
