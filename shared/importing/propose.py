"""Proposes a mapping for a file without one: guesses, each with its reason."""

import csv
import json
import tempfile
from pathlib import Path

import polars as pl

from shared.importing.csv_files import marked_encoding
from shared.importing.files import open_table
from shared.importing.guesses import Guess, guesses_of
from shared.importing.mapping import REQUIRED, CsvRules, MappingError
from shared.importing.sources import sources
from shared.label_words import LabelWords
from shared.printable import printable_line

_SAMPLE_ROWS = 2_000
_HEAD_BYTES = 64 * 1024
_PARQUET = b"PAR1"
_ENCODINGS = ("utf8", "cp1252")


def propose(path: Path, words: LabelWords) -> tuple[str, list[Guess], list[str]]:
    """The text of a mapping, its guesses, and what a person has to fill in.

    Raises:
        MappingError: nothing in it looks like a table.
        DataUnavailable: the file cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="understudy-mapping-") as place:
        source = sources([path])[0]
        with source.opened(Path(place)) as file:
            rules = csv_rules(file)
            sample = _sample(file, source.name, rules, Path(place))
    guesses = guesses_of(sample, words)
    taken = {guess.ours for guess in guesses}
    missing = [name for name in REQUIRED if name not in taken]
    return _toml(path, rules, sample, guesses, missing), guesses, missing


def csv_rules(path: Path) -> CsvRules:
    """The format of a file, guessed from its first lines; a Parquet file needs none."""
    head = _head(path)
    if head[:4] == _PARQUET:
        return CsvRules()
    marked = marked_encoding(head)
    guessed = next((name for name in _ENCODINGS if _decodes(head, name)), "cp1252")
    encoding = CsvRules().encoding if marked else guessed
    lines = head.decode(marked or encoding, "replace").splitlines()[:50]
    try:
        delimiter = csv.Sniffer().sniff("\n".join(lines), ",;\t|").delimiter
    except csv.Error:
        delimiter = max(",;\t|", key=lines[0].count) if lines else ","
    return CsvRules(delimiter=delimiter, encoding=encoding)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _decodes(head: bytes, encoding: str) -> bool:
    try:
        # the last character may be incomplete
        head[:-4].decode(encoding) if len(head) > 4 else head.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _sample(path: Path, name: str, rules: CsvRules, place: Path) -> pl.DataFrame:
    with open_table(path, name, rules, place) as table:
        columns = table.column_names()
        twice = sorted({column for column in columns if columns.count(column) > 1})
        if twice:
            raise MappingError(f"{name}: column {twice[0]!r} is there more than once; rename one")
        for piece in table.pieces(columns):
            return piece.frame.head(_SAMPLE_ROWS)
    raise MappingError(f"{name} holds no rows")


def _toml(
    path: Path, rules: CsvRules, sample: pl.DataFrame, guesses: list[Guess], missing: list[str]
) -> str:
    lines = [
        f"# A proposal for {path.name}: check every line, then",
        f"#   understudy import {path.name} --mapping THIS --dry-run",
        "# Left: the column here. Right: the column of the file.",
        "[columns]",
    ]
    lines += [
        f"{guess.ours} = {_quoted(guess.theirs)}  # {printable_line(guess.why)}"
        for guess in guesses
    ]
    lines += [f'# {name} = "?"  # needed: which column is it?' for name in missing]
    used = {guess.theirs for guess in guesses}
    unused = [column for column in sample.columns if column not in used]
    if unused:
        lines.append(f"# not used: {', '.join(_quoted(column) for column in unused)}")
    lines += [
        "",
        "[time]",
        'zone = "UTC"  # of times that name none: is that right?',
        'label_delay = "7d"  # a label becomes known this long after the event',
    ]
    if rules != CsvRules():
        lines += ["", "[csv]"]
        lines.append(f"delimiter = {_quoted(rules.delimiter)}")
        lines.append(f"encoding = {_quoted(rules.encoding)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A text as TOML writes it; JSON's texts are TOML's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
