"""Evaluates plain comparisons at the start of a rule in Python, before the CEL runtime.

Most rules begin with `amount >= 5000.0` or the like, and most rows fail that. Comparisons of
variables and literals, of a sum or a product of two doubles, and `in` a list of literals mean the
same in CEL and in Python once the types have been checked, and CEL evaluates the parts of `a && b
&& c` from the left and stops at the first that is false. So a rule whose plain beginning is false
is false, and a rule of only plain comparisons needs no CEL. Unrecognised parts are evaluated by
CEL.
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .variables import CelType, RuleEvidence, Value, Variable

Condition = Callable[[RuleEvidence], bool]
Read = Callable[[RuleEvidence], Any]

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
# separate closures for a constant limit take two thirds of the time
_AGAINST: Mapping[str, Callable[[Read, Any], Condition]] = {
    "==": lambda read, limit: lambda row: read(row) == limit,
    "!=": lambda read, limit: lambda row: read(row) != limit,
    "<=": lambda read, limit: lambda row: read(row) <= limit,
    ">=": lambda read, limit: lambda row: read(row) >= limit,
    "<": lambda read, limit: lambda row: read(row) < limit,
    ">": lambda read, limit: lambda row: read(row) > limit,
}
_CALCULATE: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
# no escapes, no hexadecimals, no exponents: conditions with those are evaluated by CEL alone
_LITERAL = r"""(?:-?[0-9]+(?:\.[0-9]+)?|"[^"\\\n]*"|'[^'\\\n]*')"""
_TERM = rf"(?:{_NAME}|{_LITERAL})"
_SIDE = rf"{_TERM}(?:\s*[-+*/]\s*{_TERM})?"
_LEADING = re.compile(
    rf"""\s*(?:
      (?P<negation>!?)(?P<flag>{_NAME})
    | (?P<left>{_SIDE}) \s* (?P<operator>[=!<>]=|[<>]) \s* (?P<right>{_SIDE})
    | (?P<member>{_NAME}) \s+in\s* \[(?P<list>\s*{_LITERAL}\s*(?:,\s*{_LITERAL}\s*)*)\]
    )\s*(?P<end>&&|\Z)""",
    re.VERBOSE,
)
_PARTS = re.compile(rf"({_TERM})(?:\s*([-+*/])\s*({_TERM}))?")


class Beginning(NamedTuple):
    """The plain comparisons a rule begins with; `is_whole` when there is nothing else in it."""

    conditions: tuple[Condition, ...]
    is_whole: bool


class _Side(NamedTuple):
    """One side of a comparison; `literal` when it is nothing else."""

    type: CelType
    read: Read
    literal: Value | None = None


def plain_beginning(when: str, table: Mapping[str, Variable]) -> Beginning:
    """The part of a valid rule that can be evaluated without CEL."""
    if "||" in when or "?" in when:
        # || and ?: have lower precedence than &&: the first comparison may not be required
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
    """None: something else than it looks like, such as `true`, which is not a variable."""
    if found["operator"]:
        left, right = _side(found["left"], table), _side(found["right"], table)
        return left and right and _comparison(left, found["operator"], right)
    term = _term(found["flag"] or found["member"], table)
    if term is None:
        return None
    read = term.read
    if found["member"]:
        values = [_value(text) for text in re.findall(_LITERAL, found["list"])]
        return lambda row: read(row) in values
    return (lambda row: not read(row)) if found["negation"] else read


def _comparison(left: _Side, sign: str, right: _Side) -> Condition:
    if right.literal is not None:
        return _AGAINST[sign](left.read, right.literal)
    compare, read, limit = _COMPARE[sign], left.read, right.read
    return lambda row: compare(read(row), limit(row))


def _side(text: str, table: Mapping[str, Variable]) -> _Side | None:
    first, sign, second = _PARTS.fullmatch(text).groups()  # type: ignore[union-attr]
    left = _term(first, table)
    if sign is None or left is None:
        return left
    right = _term(second, table)
    # whole numbers overflow in CEL but not in Python; only CEL divides by zero
    if right is None or {left.type, right.type} != {"double"}:
        return None
    if sign == "/" and not right.literal:
        return None
    calculate, read, other = _CALCULATE[sign], left.read, right.read
    return _Side("double", lambda row: calculate(read(row), other(row)))


def _term(text: str, table: Mapping[str, Variable]) -> _Side | None:
    if re.fullmatch(_NAME, text):
        variable = table.get(text)
        return _Side(variable.type, variable.read) if variable else None
    value = _value(text)
    kind: CelType = "string" if isinstance(value, str) else "double" if "." in text else "int"
    return _Side(kind, lambda _row: value, value)


def _value(literal: str) -> Value:
    if literal[0] in "\"'":
        return literal[1:-1]
    return float(literal) if "." in literal else int(literal)
