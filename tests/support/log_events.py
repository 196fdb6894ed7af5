"""Events that the code logs, read from the code itself."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOMS = ("api", "console", "learning", "native", "scheduler", "shared", "simulator", "understudy",
         "usecases")  # fmt: skip
LEVELS = frozenset({"debug", "info", "warning", "error", "critical", "exception"})


@dataclass
class LoggedEvents:
    """Names of events, and patterns of those that are put together when they are logged."""

    names: set[str] = field(default_factory=set)
    patterns: set[str] = field(default_factory=set)

    def has(self, name: str) -> bool:
        return name in self.names or any(re.fullmatch(one, name) for one in self.patterns)


def logged_events() -> LoggedEvents:
    found = LoggedEvents()
    for room in ROOMS:
        for path in sorted(Path(room).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            constants = _constants(tree)
            for argument in _event_arguments(tree):
                _add(argument, constants, found)
    return found


def _event_arguments(tree: ast.AST) -> Iterator[ast.expr]:
    """First arguments of calls of a logger, also where its method has a name of its own."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        called = ast.unparse(node.func)
        receiver, _, method = called.rpartition(".")
        if (method in LEVELS and "log" in receiver.lower()) or called in ("log", "write", "_warn"):
            yield node.args[0]


def _add(argument: ast.expr, constants: dict[str, str], found: LoggedEvents) -> None:
    if isinstance(argument, ast.IfExp):
        _add(argument.body, constants, found)
        _add(argument.orelse, constants, found)
    elif isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        if re.fullmatch(r"[a-z_0-9]+", argument.value):
            found.names.add(argument.value)
    elif isinstance(argument, ast.JoinedStr):
        parts = (
            re.escape(str(part.value)) if isinstance(part, ast.Constant) else "[a-z_]+"
            for part in argument.values
        )
        found.patterns.add("".join(parts))
    elif isinstance(argument, ast.Name) and argument.id in constants:
        found.names.add(constants[argument.id])


def _constants(tree: ast.Module) -> dict[str, str]:
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
