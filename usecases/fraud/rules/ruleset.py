"""A compiled rule file: type-checked when loaded, a microsecond or two a rule when asked.

All rules are evaluated as one CEL list over one activation that holds only the variables they
mention. Only if that fails is each rule asked alone, to find which one failed: it counts as a
review, because a rule that cannot be evaluated must not wave a payment through.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from cel_expr_python import cel

from usecases.fraud.rules.rulefile import Rule, RuleFile, RuleFileError, read_rule_file
from usecases.fraud.rules.variables import CelType, Evidence, Value, Variable

_TYPES: Mapping[CelType, Any] = {
    "bool": cel.Type.BOOL,
    "int": cel.Type.INT,
    "double": cel.Type.DOUBLE,
    "string": cel.Type.STRING,
}
_SPECIMENS: tuple[Mapping[CelType, Value], ...] = (
    {"bool": False, "int": 0, "double": 0.0, "string": ""},
    {"bool": True, "int": 1, "double": 1.0, "string": "a"},
    {"bool": True, "int": 1_000_000, "double": 1e9, "string": "zz"},
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Findings:
    """The rules that are true of a row, in file order, and those that failed on it."""

    matched: tuple[Rule, ...]
    failed: tuple[Rule, ...]


class RuleSet:
    """The rules of one file, compiled. `failures` counts evaluation errors by rule id."""

    def __init__(self, rules: Sequence[Rule], version: str, table: Mapping[str, Variable]) -> None:
        """Compile and type-check every rule.

        Raises:
            RuleFileError: names the rule and the remedy.
        """
        self.version = version
        self.rules = tuple(rules)
        self.failures: Counter[str] = Counter()
        self._env = cel.NewEnv(variables={n: _TYPES[v.type] for n, v in table.items()})
        _refuse_twins(self.rules)
        self._programs = [_compile(self._env, rule, table) for rule in self.rules]
        # a line break before the bracket, so that a comment at the end of a rule ends there
        self._all = self._env.compile("[" + ", ".join(f"({r.when}\n)" for r in rules) + "]")
        self._table = table
        self._used = _mentioned(self.rules, table)

    def find(self, evidence: Evidence) -> Findings:
        """Evaluate every rule on one row."""
        try:
            values = {variable.name: variable.read(evidence) for variable in self._used}
            activation = self._env.Activation(values)
        except (ValueError, OverflowError, TypeError, RuntimeError) as error:
            return self._all_failed(error)
        verdicts = _ask(self._all, activation)
        if isinstance(verdicts, list):
            return Findings(_where(self.rules, verdicts), ())
        return self._one_by_one(activation)

    def shown(self, rule: Rule, evidence: Evidence) -> dict[str, Value]:
        """The actual values a rule promises to show."""
        return {name: self._table[name].read(evidence) for name in rule.shows}

    def _one_by_one(self, activation: Any) -> Findings:
        verdicts = [_ask(program, activation) for program in self._programs]
        failed = []
        for rule, verdict in zip(self.rules, verdicts, strict=True):
            if not isinstance(verdict, bool):
                failed.append(rule)
                self._note_failure(rule, str(verdict))
        return Findings(_where(self.rules, [v is True for v in verdicts]), tuple(failed))

    def _all_failed(self, error: Exception) -> Findings:
        for rule in self.rules:
            self._note_failure(rule, str(error))
        return Findings((), self.rules)

    def _note_failure(self, rule: Rule, reason: str) -> None:
        self.failures[rule.id] += 1
        count = self.failures[rule.id]
        # powers of two: a rule that fails on every row must not fill the disk
        if count & (count - 1) == 0:
            _log.warning("rule_failed", rule=rule.id, reason=reason, times=count)


def load_rules(path: Path, table: Mapping[str, Variable]) -> RuleSet:
    """Read, check and compile a rule file.

    Raises:
        RuleFileError: names the file, the rule and the remedy.
    """
    file: RuleFile = read_rule_file(path)
    try:
        return RuleSet(file.rule, file.version, table)
    except RuleFileError as error:
        raise RuleFileError(f"rule file {path}: {error}") from error


def _ask(program: Any, activation: Any) -> Any:
    """What the expression yields; the text of the error where it fails."""
    try:
        return program.eval(activation).plain_value()
    except RuntimeError as error:
        return str(error)


def _where(rules: tuple[Rule, ...], verdicts: Sequence[bool]) -> tuple[Rule, ...]:
    if True not in verdicts:
        return ()
    return tuple(rule for rule, verdict in zip(rules, verdicts, strict=True) if verdict)


def _refuse_twins(rules: Sequence[Rule]) -> None:
    for rule_id, times in Counter(rule.id for rule in rules).items():
        if times > 1:
            raise RuleFileError(f"rule {rule_id}: stated {times} times; give each its own id")


def _compile(env: Any, rule: Rule, table: Mapping[str, Variable]) -> Any:
    try:
        program = env.compile(rule.when)
    except RuntimeError as error:
        raise RuleFileError(f"rule {rule.id}: {_explain(str(error))}") from error
    if program.return_type() != cel.Type.BOOL:
        kind = program.return_type().name().lower()
        raise RuleFileError(f"rule {rule.id}: the expression is {kind}, it must be true or false")
    for name in rule.shows:
        if name not in table:
            raise RuleFileError(f"rule {rule.id}: shows {name!r}, which is not a variable")
    for specimen in _SPECIMENS:
        _try_on(env, program, rule, {n: specimen[v.type] for n, v in table.items()})
    return program


def _try_on(env: Any, program: Any, rule: Rule, values: Mapping[str, Value]) -> None:
    result = _ask(program, env.Activation(values))
    if not isinstance(result, bool):
        raise RuleFileError(f"rule {rule.id}: fails on a plain row: {result}")


def _explain(error: str) -> str:
    text = error.removeprefix("INVALID_ARGUMENT: ").removesuffix(" [INVALID_ARGUMENT]")
    if "'(double, int)'" in text or "'(int, double)'" in text:
        return f"{text}\nwrite 1.0 with a double and 1 with an int; CEL does not convert"
    if "undeclared reference" in text:
        return f"{text}\n`python -m usecases.fraud.rules variables` lists what a rule may use"
    return text


def _mentioned(rules: Sequence[Rule], table: Mapping[str, Variable]) -> tuple[Variable, ...]:
    # every word, also those inside string literals: one too many does no harm
    words = {word for rule in rules for word in _NAME.findall(rule.when)}
    return tuple(variable for name, variable in table.items() if name in words)
