"""The rules of one file, asked of one row: a few microseconds, whatever the row.

Plain comparisons at the beginning of a rule are asked in Python (see conditions.py). The few rules
that get past them, and are more than that, go to the CEL runtime: one by one with the variables
each mentions, or, where they are many, as one CEL list over one activation. Only if that fails is
each rule asked alone, to find which one failed: it counts as a review, because a rule that cannot
be evaluated must not wave a payment through.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from .compiling import (
    CompiledRule,
    ask,
    compile_rule,
    mentioned,
    new_environment,
    read_all,
    refuse_duplicates,
)
from .rulefile import Rule, RuleFile, RuleFileError, read_rule_file
from .variables import RuleEvidence, Value, Variable, readable

_FEW = 4
"""The number of rules up to which single evaluation is cheaper than a list of all."""
_LARGEST = 2.0**63
_log = structlog.get_logger()


class RuleFindings(NamedTuple):
    """The rules that are true of a row, in file order, and those that failed on it."""

    matched: tuple[Rule, ...]
    failed: tuple[Rule, ...]


_NOTHING = RuleFindings((), ())


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
        self._env = new_environment(table)
        refuse_duplicates(self.rules)
        self._compiled = [compile_rule(self._env, rule, table) for rule in self.rules]
        self._beginnings = [(rule.beginning.conditions, rule) for rule in self._compiled]
        # a line break before the bracket ends a comment at the end of a rule
        self._all = self._env.compile("[" + ", ".join(f"({r.when}\n)" for r in rules) + "]")
        self._shown = {r.id: [(name, table[name].read) for name in r.shows] for r in rules}
        self._mentioned = mentioned(self.rules, table)

    def find(self, evidence: RuleEvidence) -> RuleFindings:
        """Evaluate every rule on one row."""
        if not _all_told(evidence):
            return self.find_by_cel(evidence)
        likely = self._likely(evidence)
        if not likely:
            return _NOTHING
        open_questions = [rule for rule in likely if not rule.beginning.is_whole]
        if not open_questions:
            return RuleFindings(tuple([rule.rule for rule in likely]), ())
        if len(open_questions) > _FEW:
            return self.find_by_cel(evidence)
        verdicts = [rule.beginning.is_whole or rule.ask_alone(evidence) for rule in likely]
        return self._findings(likely, verdicts)

    def _likely(self, evidence: RuleEvidence) -> list[CompiledRule]:
        """The rules whose plain beginning is true."""
        likely = []
        for conditions, rule in self._beginnings:
            for condition in conditions:
                if not condition(evidence):
                    break
            else:
                likely.append(rule)
        return likely

    def find_by_cel(self, evidence: RuleEvidence) -> RuleFindings:
        """The same without any shortcut: every rule by the CEL runtime."""
        try:
            activation = self._env.Activation(read_all(self._mentioned, evidence))
        except (ValueError, OverflowError, TypeError, RuntimeError) as error:
            return self._findings(self._compiled, [str(error)] * len(self._compiled))
        verdicts = ask(self._all, activation)
        if not isinstance(verdicts, list):
            verdicts = [rule.ask(activation) for rule in self._compiled]
        return self._findings(self._compiled, verdicts)

    def shown(self, rule: Rule, evidence: RuleEvidence) -> dict[str, Value]:
        """The actual values a rule promises to show, as people want to read them."""
        return {name: readable(read(evidence)) for name, read in self._shown[rule.id]}

    def _findings(self, asked: Sequence[CompiledRule], verdicts: Sequence[Any]) -> RuleFindings:
        matched, failed = [], []
        for compiled, verdict in zip(asked, verdicts, strict=True):
            if verdict is True:
                matched.append(compiled.rule)
            elif verdict is not False:
                failed.append(compiled.rule)
                self._note_failure(compiled.rule, str(verdict))
        return RuleFindings(tuple(matched), tuple(failed))

    def _note_failure(self, rule: Rule, reason: str) -> None:
        self.failures[rule.id] += 1
        count = self.failures[rule.id]
        # logged at powers of two: a rule that fails on every row must not fill the disk
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


def _all_told(evidence: RuleEvidence) -> bool:
    """Every feature is a number, and none is too large to be a whole one: all can be read."""
    return math.hypot(*evidence.features) < _LARGEST
