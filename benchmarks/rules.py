"""The cost of the rules: microseconds a rule, and whole answers around given scores.

Three rows: one that no rule matches, one that is suspicious on its own, and one in a burst of
payments, which matches two rules. Each is also given to the CEL runtime alone.
"""

import timeit
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from benchmarks.report import finish, no_options
from shared.usecase.serving import FloatVector, ServedModel
from usecases.fraud.answers.analysis import Analyst
from usecases.fraud.answers.examples import EXAMPLES
from usecases.fraud.answers.predict import predict
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.judgement import judge
from usecases.fraud.requests import TransactionRequest, to_transaction
from usecases.fraud.rules.ruleset import RuleSet, load_rules
from usecases.fraud.rules.variables import RuleEvidence, variable_table

RULES_PATH = Path(__file__).resolve().parents[1] / "usecases" / "fraud" / "rules.toml"
NOW_US = 1_767_609_000_000_000
MODEL = ServedModel(
    version="1.0.0",
    components=("classifier", "isolation_forest", "autoencoder"),
    thresholds={"review": 0.5, "block": 0.9, "isolation_forest": 0.6, "autoencoder": 2.0},
)
SCORES = np.array([0.02, 0.4, 0.3], dtype=np.float32)


def microseconds(call: Callable[[], object], times: int = 5_000) -> float:
    """The best of seven runs: the machine is shared, and noise only adds."""
    return round(min(timeit.repeat(call, number=times, repeat=7)) / times * 1e6, 3)


def main() -> None:
    no_options(__doc__)
    rules = load_rules(RULES_PATH, variable_table(FEATURE_SET))
    figures: dict[str, float] = {"rules": len(rules.rules)}
    for name, (request, vector) in rows().items():
        figures |= {f"{name}_{what}": us for what, us in costs(rules, request, vector).items()}
    body = rows()["quiet"][0].model_dump_json(exclude_none=True).encode()
    figures["validate_full_body_us"] = microseconds(
        lambda: TransactionRequest.model_validate_json(body)
    )
    bars = {f"{name}_cel_us_per_rule": ("<=", 5.0) for name in rows()}
    finish("rules", figures, bars | {"quiet_rules_us": ("<=", 20.0)})


def rows() -> dict[str, tuple[TransactionRequest, FloatVector]]:
    """Requests and their features."""
    full = TransactionRequest.model_validate(EXAMPLES["full"])
    suspicious = TransactionRequest.model_validate(EXAMPLES["suspicious"])
    usual = {"days_since_first_seen": 100.0, "cnt_30d": 20.0}
    burst = usual | {"cnt_1h": 30.0, "sum_24h": 3_000.0, "sum_24h_vs_30d_daily": 20.0}
    return {
        "quiet": (full, vector_of(usual)),
        "loud": (suspicious, vector_of(usual)),
        "burst": (full, vector_of(burst)),
    }


def vector_of(known: Mapping[str, float]) -> FloatVector:
    return np.array([known.get(name, 0.0) for name in FEATURE_SET.names], dtype=np.float32)


def costs(rules: RuleSet, request: TransactionRequest, vector: FloatVector) -> dict[str, float]:
    """The cost of one row, of the rules alone and in all."""
    row, analyst = to_transaction(request, NOW_US), Analyst(rules)
    evidence = RuleEvidence(row, vector.tolist(), judge(SCORES, MODEL), MODEL.version)
    cel_us = microseconds(lambda: rules.find_by_cel(evidence))
    return {
        "matched": len(rules.find(evidence).matched),
        "rules_us": microseconds(lambda: rules.find(evidence)),
        "cel_us_per_rule": round(cel_us / len(rules.rules), 3),
        "analysis_us": microseconds(lambda: analyst(row, vector, SCORES, MODEL)),
        "prediction_us": microseconds(lambda: predict(row, vector, SCORES, MODEL)),
    }


if __name__ == "__main__":
    main()
