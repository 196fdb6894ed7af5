"""One rule of a file, compiled, type-checked and tried out before any row comes."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cel_expr_python import cel

from .conditions import Beginning, plain_beginning
from .rulefile import Rule, RuleFileError
from .variables import CelType, RuleEvidence, Value, Variable

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


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule, what of it can be asked without CEL, and its program for all of it."""

    rule: Rule
    beginning: Beginning
    mentioned: tuple[Variable, ...]
    _env: Any
    _program: Any

    def ask(self, activation: Any) -> bool | str:
        """Evaluates the rule: True or False, or the text of the error if it fails."""
        verdict: bool | str = ask(self._program, activation)
        return verdict

    def ask_alone(self, evidence: RuleEvidence) -> bool | str:
        """The same, with only the variables that this rule mentions."""
        return self.ask(self._env.Activation(read_all(self.mentioned, evidence)))


def new_environment(table: Mapping[str, Variable]) -> Any:
    """A CEL environment in which these variables are declared."""
    return cel.NewEnv(variables={name: _TYPES[v.type] for name, v in table.items()})


def compile_rule(env: Any, rule: Rule, table: Mapping[str, Variable]) -> CompiledRule:
    """Compile, type-check and try a rule on plain rows.

    Raises:
        RuleFileError: names the rule and the remedy.
    """
    program = _compile(env, rule, table)
    beginning = plain_beginning(rule.when, table)
    return CompiledRule(rule, beginning, mentioned((rule,), table), env, program)


def mentioned(rules: Sequence[Rule], table: Mapping[str, Variable]) -> tuple[Variable, ...]:
    """The variables these rules need."""
    # every word, also inside string literals: a superfluous variable is harmless
    words = {word for rule in rules for word in _NAME.findall(rule.when)}
    return tuple(variable for name, variable in table.items() if name in words)


def read_all(variables: Sequence[Variable], evidence: RuleEvidence) -> dict[str, Value]:
    return {variable.name: variable.read(evidence) for variable in variables}


def ask(program: Any, activation: Any) -> Any:
    """The value of the expression, or the text of its error."""
    try:
        return program.eval(activation).plain_value()
    except RuntimeError as error:
        return str(error)


def refuse_duplicates(rules: Sequence[Rule]) -> None:
    """Raises RuleFileError when two rules have one id."""
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
    result = ask(program, env.Activation(values))
    if not isinstance(result, bool):
        raise RuleFileError(f"rule {rule.id}: fails on a plain row: {result}")


def _explain(error: str) -> str:
    text = error.removeprefix("INVALID_ARGUMENT: ").removesuffix(" [INVALID_ARGUMENT]")
    if "'(double, int)'" in text or "'(int, double)'" in text:
        return f"{text}\nwrite 1.0 with a double and 1 with an int; CEL does not convert"
    if "undeclared reference" in text:
        return f"{text}\n`python -m {__package__} variables` lists what a rule may use"
    return text
