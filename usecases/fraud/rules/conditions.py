"""Plain comparisons at the beginning of a rule, asked in Python before the CEL runtime is.

Most rules begin with `amount >= 5000.0` or the like, and most rows fail that. A comparison of a
variable with a literal, a list of literals or another variable means the same in CEL and in
Python once the types have been checked, and CEL asks the parts of `a && b && c` from the left and
stops at the first that is false. So a rule whose plain beginning is false is false, and a rule
that is nothing but plain comparisons needs no other judge. What is not recognised is left to CEL.
"""

import re
from collections.abc import Callable, Mapping
from operator import eq, ge, gt, le, lt, ne
from typing import Any, NamedTuple

from usecases.fraud.rules.variables import Evidence, Value, Variable

Condition = Callable[[Evidence], bool]

Read = Callable[[Evidence], Any]
Compare = Callable[[Any, Any], bool]
_COMPARE: Mapping[str, Compare] = {
    "==": eq, "!=": ne, "<=": le, ">=": ge, "<": lt, ">": gt,
}  # fmt: skip
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
# no escapes, no hexadecimals, no exponents: whoever writes those is read by CEL alone
_LITERAL = r"""-?[0-9]+(?:\.[0-9]+)?|"[^"\\\n]*"|'[^'\\\n]*'"""
_LEADING = re.compile(
    rf"""\s*(?:
      (?P<negation>!)?(?P<flag>{_NAME})
    | (?P<left>{_NAME})\s*(?P<operator>[=!<>]=|[<>])
      \s*(?:(?P<right>{_NAME})|(?P<literal>{_LITERAL}))
    | (?P<member>{_NAME})\s+in\s*\[(?P<list>\s*(?:{_LITERAL})\s*(?:,\s*(?:{_LITERAL})\s*)*)\]
    )\s*(?P<end>&&|\Z)""",
    re.VERBOSE,
)


class Beginning(NamedTuple):
    """The plain comparisons a rule begins with; `is_whole` when there is nothing else in it."""

    conditions: tuple[Condition, ...]
    is_whole: bool

    def holds(self, evidence: Evidence) -> bool:
        for condition in self.conditions:  # noqa: SIM110 - a generator costs twice as much
            if not condition(evidence):
                return False
        return True


def plain_beginning(when: str, table: Mapping[str, Variable]) -> Beginning:
    """What of a rule that compiles can be asked without CEL."""
    if "||" in when or "?" in when:
        # these bind weaker than &&: the first comparison might not be needed
        return Beginning((), is_whole=False)
    conditions: list[Condition] = []
    at = 0
    while found := _LEADING.match(when, at):
        condition = _condition(found, table)
        if condition is None:
            break
        conditions.append(condition)
        if not found["end"]:
            return Beginning(tuple(conditions), is_whole=True)
        at = found.end()
    return Beginning(tuple(conditions), is_whole=False)


def _condition(found: re.Match[str], table: Mapping[str, Variable]) -> Condition | None:
    """None: a name that is no variable, as `true` is none."""
    names = [found[group] for group in ("flag", "left", "right", "member") if found[group]]
    if not all(name in table for name in names):
        return None
    read: Read = table[names[0]].read
    if found["flag"]:
        return _negated(read) if found["negation"] else read
    if found["member"]:
        return _one_of(read, [_value(text) for text in re.findall(_LITERAL, found["list"])])
    compare = _COMPARE[found["operator"]]
    if found["literal"]:
        return _against(read, compare, _value(found["literal"]))
    return _between(read, compare, table[found["right"]].read)


def _value(literal: str) -> Value:
    if literal[0] in "\"'":
        return literal[1:-1]
    return float(literal) if "." in literal else int(literal)


def _negated(read: Read) -> Condition:
    return lambda evidence: not read(evidence)


def _one_of(read: Read, values: list[Value]) -> Condition:
    return lambda evidence: read(evidence) in values


def _against(read: Read, compare: Compare, value: Value) -> Condition:
    return lambda evidence: compare(read(evidence), value)


def _between(
    read: Read,
    compare: Compare,
    other: Read,
) -> Condition:
    return lambda evidence: compare(read(evidence), other(evidence))
