"""Rows to judge, built from a plain one by naming only what differs."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from shared.usecase.serving import ServedModel
from tests.support.fraud_rules import MODEL, make_evidence
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.rules.ruleset import RuleSet, load_rules
from usecases.fraud.rules.variables import RuleEvidence, Variable, variable_table

RULES_PATH = Path("usecases/fraud/rules.toml")


MakeEvidence = Callable[..., RuleEvidence]


@pytest.fixture
def evidence() -> MakeEvidence:
    return make_evidence


@pytest.fixture(scope="session")
def model() -> ServedModel:
    return MODEL


@pytest.fixture(scope="session")
def table() -> Mapping[str, Variable]:
    return variable_table(FEATURE_SET)


@pytest.fixture(scope="session")
def shipped(table: Mapping[str, Variable]) -> RuleSet:
    return load_rules(RULES_PATH, table)
