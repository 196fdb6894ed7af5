"""The label: its task, and the columns that know it too well or only after it."""

import math
import re
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from shared.importing.numbers import NumberStyle
from shared.importing.texts import read_texts
from shared.rows.column_values import FLAG_WORDS, class_texts
from shared.rows.reading import read_number_series
from shared.rows.request_fields import LONGEST_WORD
from shared.rows.schema import MAX_NUMBER, Kind
from shared.tasks import TaskKind
from shared.tasks.task import MAX_CLASSES
from usecases.declared.power import Floats, ranking_power, word_means
from usecases.declared.proposal.facts import Facts
from usecases.declared.proposal.kinds import range_text
from usecases.declared.proposal.request import CannotPropose

_POSITIVE_WORDS = ("yes", "true", "1", "y", "t", "positive", "bad", "default", "churned", "fraud")
_CERTAINLY_VALUES = 50
_FEWEST_ROWS = 20

TOO_GOOD = 0.98
_FEWEST_FOR_A_LEAK = 50
_NULLS_TOO_GOOD = 0.9
_LATER_SHARE = 0.01
_AFTER_WORDS = re.compile(
    r"(cancel|churn|closed|closing|refund|chargeback|outcome|result|resolved|resolution|"
    r"terminat|exit|settle|paid_off|collection|recover|final|after|reason_for|post_)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class LabelGuess:
    """The task and its classes, with the reason.

    Attributes:
        classes: binary: negative, positive; multiclass: by name.
    """

    task: TaskKind
    classes: tuple[str, ...]
    why: str
    warnings: tuple[str, ...] = ()


def guess_label(facts: Facts, asked: TaskKind | None) -> LabelGuess:
    """The task of a label.

    Raises:
        CannotPropose: nothing can be learned from the column, or it may be meant in two ways.
    """
    facts, unlabelled = _with_none(facts)
    name = facts.name
    if facts.filled == 0:
        raise CannotPropose(
            f"label column {name!r} has no value in any of {facts.rows:,} rows: name another "
            "column with --label"
        )
    if facts.distinct == 1:
        raise CannotPropose(
            f"label column {name!r} has one class only, {next(iter(facts.counts))!r}: bring rows "
            "of at least one other, or name another column with --label"
        )
    task = asked or _task_of(facts)
    guess = _guess_of(task, facts)
    if not unlabelled:
        return guess
    shown = ", ".join(map(repr, sorted(unlabelled)))
    said = f"{shown} (rows: {sum(unlabelled.values()):,}) is taken as no label"
    return replace(guess, warnings=(*guess.warnings, said))


def _guess_of(task: TaskKind, facts: Facts) -> LabelGuess:
    if task is TaskKind.REGRESSION:
        return _regression(facts)
    _refuse_long_classes(facts)
    if task is TaskKind.BINARY:
        return _binary(facts)
    return _multiclass(facts)


def _with_none(facts: Facts) -> tuple[Facts, Counter[str]]:
    """Facts in which `none` is a class where it stands among words, and words for a missing label.

    Among yes and no, or among numbers, it is how a program writes a missing value.
    """
    others = {word.lower() for word in facts.counts}
    none = {word: n for word, n in facts.blank_words.items() if word.lower() == "none"}
    unlabelled = facts.blank_words - Counter(none)
    if not none or facts.is_numeric or others <= FLAG_WORDS.keys():
        return facts, facts.blank_words
    counts = facts.counts + Counter(none)
    return replace(facts, counts=counts, filled=facts.filled + sum(none.values())), unlabelled


def _refuse_long_classes(facts: Facts) -> None:
    if facts.not_words:
        raise CannotPropose(
            f"label column {facts.name!r} holds {facts.not_words:,} texts that are longer than "
            f"{LONGEST_WORD} characters or hold line ends: write a short name for each class, or "
            "name another column with --label"
        )


def _task_of(facts: Facts) -> TaskKind:
    if facts.distinct == 2:
        return TaskKind.BINARY
    if not facts.is_numeric:
        return TaskKind.MULTICLASS
    if facts.whole < facts.filled or facts.distinct > _CERTAINLY_VALUES:
        return TaskKind.REGRESSION
    raise CannotPropose(
        f"label column {facts.name!r} holds {facts.distinct} whole numbers, which may be classes "
        "or amounts: write --task multiclass or --task regression"
    )


def _regression(facts: Facts) -> LabelGuess:
    if not facts.is_numeric:
        example = facts.not_a_number[0] if facts.not_a_number else "a text"
        raise CannotPropose(
            f"label column {facts.name!r} holds {example!r}, which is not a number: a regression "
            "needs numbers; write --task multiclass, or name another column with --label"
        )
    return LabelGuess(TaskKind.REGRESSION, (), range_text(facts.range))


def _binary(facts: Facts) -> LabelGuess:
    if facts.distinct != 2:
        raise CannotPropose(
            f"label column {facts.name!r} holds {facts.distinct:,} values and a binary task needs "
            "two: write --task multiclass or --task regression, or name another with --label"
        )
    named = [word for word in facts.counts if word.lower() in _POSITIVE_WORDS]
    rarer = min(facts.counts, key=lambda word: facts.counts[word])
    positive = named[0] if len(named) == 1 else rarer
    negative = next(word for word in facts.counts if word != positive)
    share = facts.counts[positive] / facts.filled
    how = "by its name" if len(named) == 1 else "the rarer one"
    why = f"two values; {positive!r} is positive ({how}), {share:.1%} of the labels"
    return LabelGuess(TaskKind.BINARY, (negative, positive), why, _doubts(facts))


def _multiclass(facts: Facts) -> LabelGuess:
    if facts.is_full or facts.distinct > MAX_CLASSES:
        many = "more than 5,000" if facts.is_full else f"{facts.distinct:,}"
        more = "--task regression, or " if facts.is_numeric else ""
        raise CannotPropose(
            f"label column {facts.name!r} has {many} classes and at most {MAX_CLASSES} are "
            f"supported: {more}put rare ones together, or name another column with --label"
        )
    why = f"{facts.distinct} classes"
    return LabelGuess(TaskKind.MULTICLASS, tuple(sorted(facts.counts)), why, _doubts(facts))


def _doubts(facts: Facts) -> tuple[str, ...]:
    return (*_alike(facts), *_few(facts))


def _alike(facts: Facts) -> tuple[str, ...]:
    """Classes that are one, perhaps: `No` and `no`, `True` and `1`."""
    meant: dict[object, list[str]] = {}
    for word in sorted(facts.counts):
        folded = word.casefold()
        meant.setdefault(FLAG_WORDS.get(folded, folded), []).append(word)
    return tuple(
        f"classes {', '.join(map(repr, words[:6]))} may be one: write them alike in the source"
        for words in meant.values()
        if len(words) > 1
    )


def _few(facts: Facts) -> tuple[str, ...]:
    rare = [word for word, count in sorted(facts.counts.items()) if count < _FEWEST_ROWS]
    if not rare:
        return ()
    counted = ", ".join(f"{word!r} ({facts.counts[word]})" for word in rare[:4])
    return (f"classes with fewer than {_FEWEST_ROWS} rows: {counted}",)


def numeric_labels(guess: LabelGuess, source: pl.Series, style: NumberStyle) -> pl.Series:
    """Labels of a sample as numbers: the position of a class, or the value."""
    if guess.task is TaskKind.REGRESSION:
        values = read_number_series(source, style)[0]
        table = pl.DataFrame({"value": values})
        return table.select(pl.when(pl.col("value").abs() <= MAX_NUMBER).then("value"))["value"]
    index = {word: float(at) for at, word in enumerate(guess.classes)}
    return (
        class_texts(source)
        .replace_strict(index, default=math.nan, return_dtype=pl.Float64)
        .fill_nan(None)
    )


def copies_label(column: pl.Series, labels: pl.Series) -> bool:
    """True if each value stands for one label, and each label for one value."""
    table = pl.DataFrame({"value": read_texts(column, is_identifier=True, is_numeric=True),
                          "label": labels}).drop_nulls()  # fmt: skip
    if table.height < 2 or table["label"].n_unique() < 2:
        return False
    pairs = table.unique()
    return pairs.height == pairs["value"].n_unique() == pairs["label"].n_unique()


def leak_warning(
    kind: Kind, column: pl.Series, labels: pl.Series, task: TaskKind, style: NumberStyle
) -> str | None:
    """The power of a column alone to rank the label, where it is implausibly high."""
    known = labels.is_not_null()
    truth = labels.filter(known).to_numpy().astype(np.float64)
    values = column.filter(known)
    if len(truth) < _FEWEST_FOR_A_LEAK or len(np.unique(truth)) < 2:
        return None
    power = ranking_power(_as_numbers(kind, values, truth, style), truth, task)
    if power > TOO_GOOD:
        return f"it alone ranks the label {power:.3f} of 1: is it known before the label is?"
    missing = values.is_null().to_numpy().astype(np.float64)
    if 0 < missing.mean() < 1 and ranking_power(missing, truth, task) > _NULLS_TOO_GOOD:
        return "whether it has a value nearly determines the label: is it filled in afterwards?"
    return None


def known_late_warning(
    name: str, kind: Kind, moments_us: pl.Series | None, times_us: pl.Series | None
) -> str | None:
    """True if a column is probably known only after the label."""
    if kind is Kind.MOMENT and moments_us is not None and times_us is not None:
        later = (moments_us > times_us).mean()
        if isinstance(later, float) and later > _LATER_SHARE:
            return f"it lies after the time of the row in {later:.0%} of rows: known only later?"
    if _AFTER_WORDS.search(name):
        return "by its name it may be known only after the label"
    return None


def _as_numbers(kind: Kind, values: pl.Series, truth: Floats, style: NumberStyle) -> Floats:
    """A number for each row that ranks it; words by the mean label of the other half's rows."""
    if kind in (Kind.NUMBER, Kind.FLAG) and (
        values.dtype.is_numeric() or values.dtype == pl.String
    ):
        numbers, _unreadable = read_number_series(values, style)
        if numbers.null_count() <= 0.5 * len(numbers):
            # a missing value is ranked below all others
            return numbers.fill_nan(None).fill_null(-np.inf).to_numpy().astype(np.float64)
    texts = read_texts(values, is_identifier=True, is_numeric=True).fill_null("")
    words = (texts.rank("dense") - 1).to_numpy().astype(np.int64)
    return word_means(words, truth)
