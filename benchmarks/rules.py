"""What the rules cost: microseconds a rule, and a whole analysis around a given score."""

import timeit
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.report import finish
from shared.usecase.serving import ServedModel
from usecases.fraud.answers.analysis import Analyst
from usecases.fraud.answers.examples import EXAMPLES
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.judgement import judge
from usecases.fraud.requests import TransactionRequest, to_transaction
from usecases.fraud.rules.ruleset import load_rules
from usecases.fraud.rules.variables import Evidence, variable_table

RULES_PATH = Path(__file__).resolve().parents[1] / "usecases" / "fraud" / "rules.toml"
NOW_US = 1_767_609_000_000_000
MODEL = ServedModel(
    version="1.0.0",
    components=("classifier", "isolation_forest", "autoencoder"),
    thresholds={"review": 0.5, "block": 0.9, "isolation_forest": 0.6, "autoencoder": 2.0},
)


def microseconds(call: Callable[[], object], times: int = 5_000) -> float:
    """The best of seven runs: the machine is shared, and noise only adds."""
    return round(min(timeit.repeat(call, number=times, repeat=7)) / times * 1e6, 3)


def main() -> None:
    rules = load_rules(RULES_PATH, variable_table(FEATURE_SET))
    quiet = TransactionRequest.model_validate(EXAMPLES["full"])
    loud = TransactionRequest.model_validate(EXAMPLES["suspicious"])
    vector = np.zeros(len(FEATURE_SET.names), dtype=np.float32)
    vector[FEATURE_SET.names.index("days_since_first_seen")] = 100.0
    vector[FEATURE_SET.names.index("cnt_30d")] = 20.0
    scores = np.array([0.02, 0.4, 0.3], dtype=np.float32)
    analyst = Analyst(rules)
    figures: dict[str, float] = {"rules": len(rules.rules)}
    for name, request in (("quiet", quiet), ("loud", loud)):
        row = to_transaction(request, NOW_US)
        evidence = Evidence(row, vector.tolist(), judge(scores, MODEL), MODEL.version)
        rules_us = microseconds(lambda e=evidence: rules.find(e))  # type: ignore[misc]
        figures[f"{name}_us_per_rule"] = round(rules_us / len(rules.rules), 3)
        figures[f"{name}_matched"] = len(rules.find(evidence).matched)
        figures[f"{name}_analysis_us"] = microseconds(
            lambda r=row: analyst(r, vector, scores, MODEL)  # type: ignore[misc]
        )
    body = quiet.model_dump_json(exclude_none=True).encode()
    figures["validate_full_body_us"] = microseconds(
        lambda: TransactionRequest.model_validate_json(body)
    )
    bars = {"quiet_us_per_rule": ("<=", 5.0), "loud_us_per_rule": ("<=", 5.0)}
    finish("rules", figures, bars)


if __name__ == "__main__":
    main()
