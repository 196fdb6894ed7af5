"""The serving half of the fraud use case: wires request, features, rules and answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import Engine

from shared.tasks.labels import LabelWords
from shared.transaction import Transaction
from shared.usecase.serving import (
    DEFAULT_BOUNDS,
    FeatureSet,
    FeatureSource,
    FloatVector,
    ScoringRoute,
    ServedModel,
    TaskPrediction,
    WindowBounds,
)

from .answers.analysis import AnalysisResponse, Analyst
from .answers.contributions import REASON_RULE
from .answers.examples import EXAMPLES
from .answers.predict import PredictionResponse, predict
from .exports import LABEL_WORDS
from .features import online, postgres_windows
from .features.catalogue import FEATURE_SET
from .judgement import Decision, prediction
from .requests import TransactionRequest, to_transaction
from .rules.ruleset import RuleSet, load_rules
from .rules.variables import variable_table

RULES_PATH = Path(__file__).with_name("rules.toml")


@dataclass(frozen=True, slots=True)
class FraudServing:
    """The fraud use case for the scoring service."""

    routes: Sequence[ScoringRoute]
    name: str = Path(__file__).parent.name
    schema_version: int = 1
    request_model: type[BaseModel] = TransactionRequest
    feature_set: FeatureSet = FEATURE_SET
    label_words: LabelWords = LABEL_WORDS
    decisions: Sequence[str] = tuple(map(str, Decision))
    prediction: Callable[[FloatVector, ServedModel], TaskPrediction] = prediction
    to_transaction: Callable[[BaseModel, int], Transaction] = to_transaction

    def feature_source(
        self, engine: Engine, bounds: WindowBounds = DEFAULT_BOUNDS
    ) -> FeatureSource:
        return online.FraudFeatureSource(engine, bounds=bounds)

    def warm_up(self) -> None:
        online.warm_up()

    def precompile(self) -> None:
        """Compile for every kind of database: an image does not know which it will have."""
        online.warm_up()
        postgres_windows.warm_up()


def use_case(rules_path: Path = RULES_PATH) -> FraudServing:
    """The fraud use case with the rules of a file.

    Raises:
        RuleFileError: a rule does not compile or is not of its type.
    """
    return FraudServing(routes=_routes(load_rules(rules_path, variable_table(FEATURE_SET))))


def _routes(rules: RuleSet) -> tuple[ScoringRoute, ...]:
    return (
        ScoringRoute(
            path="/predict",
            summary="Score one transaction with the models alone",
            response_model=PredictionResponse,
            respond=predict,
            examples=EXAMPLES,
            batch_path="/predict/batch",
            reasons=REASON_RULE,
        ),
        ScoringRoute(
            path="/api/analyze-transaction",
            summary="Decide on one transaction: rules and models, with reasons",
            response_model=AnalysisResponse,
            respond=Analyst(rules),
            examples=EXAMPLES,
        ),
    )
