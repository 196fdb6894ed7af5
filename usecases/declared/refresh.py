"""New rows and labels of a declared use case, from its source, before every run and by command."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog
from sqlalchemy import Engine, select

from shared.errors import DataUnavailable, SettingsError
from shared.importing.lake import is_address
from shared.rows.convert import ConvertedRows, RowConverter, needed_sources
from shared.rows.declaration import Declaration, DeclarationError
from shared.rows.importer import ImportCounts, KeepRejected, Progress, import_rows
from shared.rows.sources import QuerySource, RowSource, opened_files
from shared.rows.table_changes import make_tables
from shared.rows.tables import tables_of
from shared.tables.data_changes import begin_change, end_change, list_changes, sender_of
from shared.tables.engine import database_errors, migrate

_log = structlog.get_logger()
_LOOKED_THROUGH = 1_000


def import_source(
    engine: Engine,
    declared: Declaration,
    folder: Path,
    now_us: int,
    *,
    files: Sequence[Path] = (),
    progress: Progress = lambda _share, _counts: None,
    keep_rejected: KeepRejected = lambda _rows: None,
) -> ImportCounts:
    """Import `files`, or what the declaration names as its source.

    Raises:
        DeclarationError: a column is not in the source; nothing was written.
        DeclarationChanged: the declaration does not fit the rows that are stored.
        DataUnavailable: the source or the database fails; what was written stays.
    """
    migrate(engine)
    tables = tables_of(declared.row_schema)
    make_tables(engine, tables)
    name = declared.use_case.name
    with _opened(engine, declared, folder, files) as sources:
        for one in sources:
            # before an import is listed that stored nothing
            needed_sources(declared, one.column_names(), one.name)
        about = {"use_case": name, "sources": [one.name for one in sources]}
        with database_errors("begin an import"), engine.begin() as connection:
            number = begin_change(connection, "import", now_us, None, about)
        counts = import_rows(
            engine,
            tables,
            declared,
            sources,
            now_us,
            sent_by=sender_of(number),
            progress=progress,
            keep_rejected=keep_rejected,
        )
    facts = {
        "rows": counts.inserted,
        "repeated": counts.repeated,
        "rejected": counts.rejected,
        "labels": {"new": counts.labels.new, "changed": counts.labels.changed},
    }
    with database_errors("end an import"), engine.begin() as connection:
        # the next query starts where this one started, so changes in between are read again
        end_change(connection, number, {**about, **facts, "read_until_us": now_us})
    return counts


def preview_source(
    engine: Engine,
    declared: Declaration,
    folder: Path,
    now_us: int,
    *,
    files: Sequence[Path] = (),
    rows: int = 10,
) -> ConvertedRows:
    """The first rows of `files`, or of the declared source, as they would be stored or rejected.

    Raises:
        DeclarationError: a column is not in the source.
        DataUnavailable: the source is away, or holds no row.
    """
    with _opened(engine, declared, folder, files) as sources:
        for source in sources:
            columns = needed_sources(declared, source.column_names(), source.name)
            for piece in source.pieces(columns):
                return RowConverter(declared, now_us).convert(piece.head(rows))
    raise DataUnavailable("the source holds no rows")


def refresh(engine: Engine, declared: Declaration, folder: Path, now_us: int) -> None:
    """Bring the rows up to date; a source that is away does not keep stored rows from use.

    Raises:
        DeclarationError: a column is not in the source, or no row of it fits.
        DeclarationChanged: the declaration does not fit the rows that are stored.
        DataUnavailable: the source is away and there is no row, or the database is away.
    """
    source = declared.source
    if source.files is None and source.sql is None:
        make_tables(engine, tables_of(declared.row_schema))
        return
    try:
        counts = import_source(engine, declared, folder, now_us)
    except DataUnavailable as error:
        if not _has_rows(engine, declared):
            raise
        _log.warning("source_unavailable", reason=str(error), remedy="stored rows are used")
        return
    _log.info(
        "source_imported",
        rows=counts.inserted,
        repeated=counts.repeated,
        differing=counts.differing,
        rejected=counts.rejected,
        labels_new=counts.labels.new,
        labels_changed=counts.labels.changed,
    )
    for reason, count in counts.reasons.most_common(3):
        _log.warning("rows_rejected", rows=count, reason=counts.examples[reason])
    # a query may return a single new row, which may be invalid
    if counts.rejected == counts.read and (
        source.files is not None or not _has_rows(engine, declared)
    ):
        _refuse_misfit(counts)


def _has_rows(engine: Engine, declared: Declaration) -> bool:
    rows = tables_of(declared.row_schema).rows
    with database_errors("look for rows"), engine.connect() as connection:
        return connection.execute(select(rows.c.row_id).limit(1)).first() is not None


def _refuse_misfit(counts: ImportCounts) -> None:
    """Every row was rejected: nothing would be learned from, or only what is old."""
    for reason, count in counts.reasons.most_common(1):
        raise DeclarationError(
            f"usecase.toml does not fit its source: all {counts.read:,} rows were rejected, "
            f"{count:,} because {counts.examples[reason]}; correct the column's line in "
            "[columns], or the source"
        )


@contextmanager
def _opened(
    engine: Engine, declared: Declaration, folder: Path, files: Sequence[Path]
) -> Iterator[Sequence[RowSource]]:
    source = declared.source
    if not files and source.sql is not None:
        url = os.environ.get(source.database)
        if not url:
            raise SettingsError(
                f"{source.database}: source.sql of {declared.use_case.name} is read from the "
                "database with this URL; set it"
            )
        yield [QuerySource(url, source.sql, _read_until_us(engine, declared.use_case.name))]
        return
    declared_files = [name if is_address(name) else folder / name for name in source.files or ()]
    paths: list[Path | str] = [*files] or [*declared_files]
    if not paths:
        raise SettingsError(
            f"{declared.use_case.name} declares no source: name files, or write [source] files"
        )
    with opened_files(paths, declared.csv) as tables:
        yield tables


def _read_until_us(engine: Engine, name: str) -> int | None:
    """The start of the newest import that was completed; None: there was none."""
    for change in list_changes(engine, _LOOKED_THROUGH):
        details = change.details
        if change.kind == "import" and details.get("use_case") == name:
            until = details.get("read_until_us")
            if isinstance(until, int):
                return until
    return None
