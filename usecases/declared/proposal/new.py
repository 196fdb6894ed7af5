"""`understudy new` from one end to the other: read, guess, write, read back, try every row."""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from shared.importing.mapping import CsvRules, MappingError
from shared.importing.propose import csv_rules
from shared.importing.sources import sources
from shared.rows.convert import RowConverter, needed_sources
from shared.rows.declaration import FILE_NAME, Declaration, DeclarationError, parse_declaration
from shared.rows.declared_keys import IDENTIFIER
from shared.rows.examples import EXAMPLES_FILE, example_requests
from shared.rows.importer import ImportCounts, count_reasons, count_refused_lines
from shared.rows.sources import QuerySource, RowSource, cannot_read, opened_files
from usecases.declared.proposal.proposal import Proposal, propose
from usecases.declared.proposal.request import CannotPropose, NewUseCase
from usecases.declared.proposal.text import declaration_text

_TOO_MANY_REJECTED = 0.5


@dataclass(frozen=True, slots=True)
class NewFolder:
    """The written declaration, and how many rows would be accepted."""

    folder: Path
    proposal: Proposal
    declared: Declaration
    counts: ImportCounts


def new_use_case(asked: NewUseCase, root: Path, now_us: int) -> NewFolder:
    """Write `root/NAME/usecase.toml`, or nothing at all.

    Raises:
        CannotPropose: something must not be guessed, or the rows do not fit; says what to do.
        DataUnavailable: the source cannot be read.
    """
    folder = _free_folder(asked, root)
    with _opened(asked) as (found, csv):
        proposal = propose(asked, found, csv)
        text = declaration_text(proposal)
        try:
            declared = parse_declaration(text)
        except DeclarationError as error:
            raise CannotPropose(f"the source does not fit a declaration: {error}") from error
        counts, accepted = _try_rows(declared, found, now_us)
    if counts.rejected > _TOO_MANY_REJECTED * counts.read:
        reason, _count = counts.reasons.most_common(1)[0]
        raise CannotPropose(
            f"{counts.rejected:,} of {counts.read:,} rows would be rejected: "
            f"{counts.examples[reason]}; correct the source, or name another column"
        )
    _write(folder, text, example_requests(declared.row_schema, accepted))
    return NewFolder(folder, proposal, declared, counts)


def _free_folder(asked: NewUseCase, root: Path) -> Path:
    if not IDENTIFIER.fullmatch(asked.name):
        raise CannotPropose(
            f"{asked.name!r} is not a name of a use case: write small letters, digits and _ "
            "beginning with a letter, e.g. churn"
        )
    folder = root / asked.name
    if folder.exists():
        raise CannotPropose(f"{folder} is there already: choose another name, or remove it")
    return folder


@contextmanager
def _opened(asked: NewUseCase) -> Iterator[tuple[Sequence[RowSource], CsvRules]]:
    if asked.sql is not None:
        url = os.environ.get(asked.database)
        if not url:
            raise CannotPropose(
                f"--sql needs the URL of your database in the variable {asked.database}: set it, "
                f"e.g. {asked.database}=postgresql://user@host/database"
            )
        yield [QuerySource(url, asked.sql, None)], CsvRules()
        return
    csv = _rules_of(asked.files)
    try:
        with opened_files(asked.files, csv) as tables:
            yield tables, csv
    except MappingError as error:
        raise CannotPropose(str(error)) from error


def _rules_of(files: Sequence[Path]) -> CsvRules:
    with tempfile.TemporaryDirectory(prefix="understudy-new-") as place:
        try:
            first = sources(list(files))[0]
            with first.opened(Path(place)) as path:
                return csv_rules(path)
        except OSError as error:
            raise CannotPropose(cannot_read(error)) from error
        except MappingError as error:
            raise CannotPropose(str(error)) from error


def _try_rows(
    declared: Declaration, found: Sequence[RowSource], now_us: int
) -> tuple[ImportCounts, pl.DataFrame]:
    """Convert every row as an import would; the counts, and the first accepted rows."""
    counts, converter = ImportCounts(), RowConverter(declared, now_us)
    first: pl.DataFrame | None = None
    for source in found:
        columns = needed_sources(declared, source.column_names(), source.name)
        count_refused_lines(counts, source, columns)
        for piece in source.pieces(columns):
            converted = converter.convert(piece)
            counts.read += piece.frame.height
            counts.inserted += converted.accepted.height
            count_reasons(counts, converted.rejected)
            if first is None and converted.accepted.height:
                first = converted.accepted.head(1_000)
    return counts, pl.DataFrame() if first is None else first


def _write(folder: Path, text: str, examples: dict[str, Any]) -> None:
    """All files or none: they are written beside, and the folder appears with them in it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as place:
            made = Path(place) / folder.name
            made.mkdir(mode=0o755)
            (made / FILE_NAME).write_text(text, encoding="utf-8")
            told = json.dumps(examples, indent=2, ensure_ascii=False)
            (made / EXAMPLES_FILE).write_text(told + "\n", encoding="utf-8")
            made.rename(folder)
    except OSError as error:
        raise CannotPropose(f"cannot write {folder}: {error.strerror}") from error
