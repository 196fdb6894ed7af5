"""The text of a usecase.toml: every line with the reason it stands there."""

import json
from collections.abc import Mapping
from typing import Any

from shared.importing.mapping import CsvRules
from shared.rows.schema import Kind
from shared.tasks import TaskKind
from shared.tasks.metrics import default_metric
from usecases.declared.proposal.kinds import ColumnGuess
from usecases.declared.proposal.proposal import Proposal
from usecases.declared.proposal.source_columns import written_items

_COMMENT_AT = 42
_SHOWN_COLUMNS = 200
_GUARD = {
    TaskKind.BINARY: "log_loss",
    TaskKind.MULTICLASS: "accuracy",
    TaskKind.REGRESSION: "mae",
    TaskKind.RANKING: "rmse",
}


def declaration_text(proposal: Proposal) -> str:
    """The whole file."""
    parts = [
        _head(proposal),
        _use_case(proposal),
        _label(proposal),
        _columns(proposal),
        _source(proposal),
        _how_it_is_written(proposal),
        _train(proposal),
        _judge(proposal),
        ["[serve]", _line("reasons", 3, "the largest contributions in every answer on request")],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _head(proposal: Proposal) -> list[str]:
    return [
        f"# Written by `understudy new {proposal.asked.name}` from {proposal.rows:,} rows. "
        "Check every line, then:",
        f"#   understudy run --use-case {proposal.asked.name}",
    ]


def _use_case(proposal: Proposal) -> list[str]:
    asked = proposal.asked
    lines = [
        "[use_case]",
        _line("name", asked.name),
        _line("version", 1, "raise it when a column is removed or changes its kind"),
        _line("task", str(proposal.label.task), proposal.label.why),
    ]
    if proposal.row_id is not None:
        lines.append(_line("row_id", proposal.row_id, proposal.row_id_why))
    else:
        lines.append('# row_id = "COLUMN"  # ' + proposal.row_id_why)
    if asked.entity is not None:
        lines.append(_line("entity", asked.entity, "its rows depend on each other"))
    else:
        lines.append('# entity = "COLUMN"  # whose rows depend on each other; now: each alone')
    if asked.time is not None:
        lines.append(_line("time", asked.time, "when a row was true; the newest are held out"))
    else:
        lines.append(_line("no_time", True, "the future is not held out"))
    return lines


def _label(proposal: Proposal) -> list[str]:
    asked, label = proposal.asked, proposal.label
    lines = ["[label]"]
    if label.task is TaskKind.RANKING:
        lines += _label_items(proposal)
    else:
        lines.append(_line("column", asked.label))
    if label.task is TaskKind.BINARY:
        lines.append(_line("positive", label.classes[1]))
        lines.append(_line("negative", label.classes[0]))
    if label.task is TaskKind.MULTICLASS:
        lines.append(_line("classes", list(label.classes)))
    if asked.time is not None:
        lines.append(_line("delay", "0d", "how long after its time a row's label is known; or"))
        lines.append('# known_at = "COLUMN"  # the column with the instant it became known')
    lines += [f"# check: {warning}" for warning in label.warnings]
    return lines


def _label_items(proposal: Proposal) -> list[str]:
    items, columns = written_items(proposal.items, proposal.guesses)
    lines = [_line("items", items, "the ratings so far; what * stands for is the item's name")]
    if columns is None:
        return [*lines, '# columns = "next_*"  # what was rated next; now: labels by /feedback']
    return [*lines, _line("columns", columns, "what was rated next, of the same items")]


def _columns(proposal: Proposal) -> list[str]:
    lines = ["[columns]  # the request, the table and the vector"]
    for guess in proposal.guesses[:_SHOWN_COLUMNS]:
        lines += _column(guess)
    for guess in proposal.guesses[_SHOWN_COLUMNS:]:
        lines.append(_bare(guess))
    return [line for line in lines if line]


def _column(guess: ColumnGuess) -> list[str]:
    if guess.kind is None:
        return [f"# {guess.name}: left out, {guess.why}"]
    warned = [f"# check {guess.name}: {warning}" for warning in guess.warnings]
    bare = _bare(guess)
    return [*warned, f"{bare}{' ' * max(2, _COMMENT_AT - len(bare))}# {guess.why}"]


def _bare(guess: ColumnGuess) -> str:
    if guess.kind is None:
        return ""
    if guess.kind is Kind.MOMENT:
        return f"{guess.name} = {_value({'kind': 'moment', 'as': 'age_days', **guess.options})}"
    if not guess.options:
        return f"{guess.name} = {_value(str(guess.kind))}"
    return f"{guess.name} = {_value({'kind': str(guess.kind), **guess.options})}"


def _source(proposal: Proposal) -> list[str]:
    asked = proposal.asked
    if asked.sql is not None:
        return [
            "[source]  # read again at every run; `:since` is the instant of the previous one",
            _line("sql", asked.sql),
            _line("database", asked.database, "the variable that holds the URL"),
        ]
    files = [str(path.absolute()) for path in asked.files]
    source = files[0] if len(files) == 1 else files
    return ["[source]", _line("files", source, "read again at every run; or sql = ...")]


def _how_it_is_written(proposal: Proposal) -> list[str]:
    lines = []
    if proposal.csv != CsvRules():
        lines += ["[csv]", _line("delimiter", proposal.csv.delimiter)]
        lines += [_line("encoding", proposal.csv.encoding)]
    if proposal.style is not None:
        lines += ["[numbers]", _line("decimal", proposal.style.decimal)]
        lines += [_line("thousands", proposal.style.thousands)]
    reading = proposal.reading
    if reading is not None and _has_moments(proposal):
        lines += ["[time]", _line("zone", reading.zone, "of times that name none: is that right?")]
        for key, value in (("unit", reading.unit), ("format", reading.format)):
            lines += [_line(key, value)] if value is not None else []
        if reading.order is not None:
            lines.append(_line("day_first", reading.order == "day first"))
    return lines


def _has_moments(proposal: Proposal) -> bool:
    moments = any(guess.kind is Kind.MOMENT for guess in proposal.guesses)
    return moments or proposal.asked.time is not None


def _train(proposal: Proposal) -> list[str]:
    ranking = proposal.label.task is TaskKind.RANKING
    model = "denoising_autoencoder" if ranking else "gradient_boosting"
    lines = ["[train]", _line("model", model, 'or "module:name" of an estimator of yours')]
    if proposal.asked.time is not None:
        lines.append(_line("window", "720d", "rows older than this are not learned from"))
    return lines


def _judge(proposal: Proposal) -> list[str]:
    task = proposal.label.task
    held_out = f"{proposal.held_out_days}d" if proposal.asked.time is not None else "20 %"
    return [
        "[judge]",
        _line("metric", default_metric(task), "what a candidate is compared by"),
        _line("margin", "2 %", "a refresh on newer rows may be this much worse"),
        _line("guards", {_GUARD[task]: "5 %"}, "may not lose more than this"),
        "# floors = {}  # what the first model has to reach, e.g. { metric = 0.2 }",
        '# slices = ["COLUMN", "COLUMN / 4"]  # parts of the rows on which it must do no harm',
        _line("rounds_per_year", 12, "the yearly error is divided among this many rounds"),
        _line("held_out", held_out),
    ]


def _line(key: str, value: Any, comment: str = "") -> str:
    written = f"{key} = {_value(value)}"
    return f"{written}{' ' * max(2, _COMMENT_AT - len(written))}# {comment}" if comment else written


def _value(value: Any) -> str:
    """A value as TOML writes it; JSON's texts are TOML's."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
