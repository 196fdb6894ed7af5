"""Writes transactions, decisions and labels; merchant tiles change in the same transaction.

Writing the same transaction_id again is harmless: a row that exists stays as it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, Table, bindparam, update
from sqlalchemy.types import JSON

from shared.tables.bulk import Inserted, RowValues, insert_new, seen_columns, seen_rows
from shared.tables.engine import to_json
from shared.tables.label_changes import keep_replaced, label_that_counts
from shared.tables.locks import lock_for_writing, share_writing
from shared.tables.schema import (
    api_transaction_logs,
    quarantined_transaction_logs,
    transaction_history_logs,
)
from shared.tables.tiles import Seen, TileChanges, count_columns, merged
from shared.transaction import Label


def write_history(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
    """Append to TransactionHistoryLogs; columns a row lacks are null. Returns rows inserted."""
    columns, records = _records(transaction_history_logs, rows)
    return write_history_records(connection, columns, records)


def write_history_records(
    connection: Connection, columns: Sequence[str], records: Sequence[RowValues]
) -> int:
    """Append tuples in the order of `columns`: the fast way for millions of rows."""
    return _append(connection, transaction_history_logs, columns, records)


def write_decisions(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
    """Append to APITransactionLogs; JSON columns take Python objects. Returns rows inserted."""
    columns, records = _records(api_transaction_logs, rows)
    return _append(connection, api_transaction_logs, columns, records)


def write_decision_records(
    connection: Connection, columns: Sequence[str], records: Sequence[RowValues]
) -> int:
    """The same for tuples in the order of `columns`, with JSON as text."""
    return _append(connection, api_transaction_logs, columns, records)


def write_quarantined_records(
    connection: Connection, columns: Sequence[str], records: Sequence[RowValues]
) -> int:
    """Append to QuarantinedTransactionLogs, which counts in no tile; else the same."""
    share_writing(connection)
    log = quarantined_transaction_logs
    return len(insert_new(connection, log, api_transaction_logs, columns, records).records)


class WrittenLabels(NamedTuple):
    """The outcome of labels whose rows are in a log, by id.

    Attributes:
        replaced: turned round a stored label, which is kept in LabelChanges.
        outdated: known earlier than the stored label, which stays.
        delays_us: of labels of rows that had none, from the event to the instant it is known since.
    """

    ids: list[str]
    replaced: set[str]
    outdated: set[str]
    delays_us: Sequence[int] = ()


def write_labels(connection: Connection, labels: Sequence[Label]) -> list[str]:
    """The ids of `store_labels` alone."""
    return store_labels(connection, labels).ids


def store_labels(connection: Connection, labels: Sequence[Label]) -> WrittenLabels:
    """Store ground truth in all logs; returns the ids that at least one of them has.

    A label of a quarantined row counts in no tile and is not used in training.

    A label that became known later, or at the same instant, replaces the stored one, which is
    kept in LabelChanges; an older one is ignored, so a journal that is replayed cannot undo a
    correction.
    """
    latest: dict[str, Label] = {}
    for label in labels:
        rival = latest.get(label.transaction_id)
        if rival is None or label.label_known_at_us >= rival.label_known_at_us:
            latest[label.transaction_id] = label
    if not latest:
        return WrittenLabels([], set(), set())
    share_writing(connection)
    # Lock the history first: storing a decision locks only its imported copy.
    history = seen_rows(connection, transaction_history_logs, list(latest), lock=True)
    api = seen_rows(connection, api_transaction_logs, list(latest), lock=True)
    keep_replaced(connection, history, api, latest)
    _count_relabelled(history, api, latest).write(connection)
    _update_labels(connection, transaction_history_logs, history, latest)
    _update_labels(connection, api_transaction_logs, api, latest)
    quarantined = seen_rows(connection, quarantined_transaction_logs, list(latest), lock=True)
    _update_labels(connection, quarantined_transaction_logs, quarantined, latest)
    known = [key for key in latest if key in history or key in api or key in quarantined]
    stored = {key: label_that_counts(history.get(key), api.get(key)) for key in known}
    outdated = {
        key
        for key, old in stored.items()
        if old is not None and not _is_news(old, latest[key]) and old.label != latest[key].label
    }
    turned = {
        key
        for key, old in stored.items()
        if old is not None and _is_news(old, latest[key]) and old.label != latest[key].label
    }
    delays_us = [_delay_us(history.get(key) or api.get(key), latest[key]) for key in known]
    first = [delay for delay in delays_us if delay is not None]
    return WrittenLabels(known, turned, outdated, first)


def _delay_us(seen: Seen | None, label: Label) -> int | None:
    """Microseconds from the event to its label; None for a row that had one, or is quarantined."""
    if seen is None or seen.label_known_at is not None:
        return None
    return label.label_known_at_us - seen.event_time


def _append(
    connection: Connection, table: Table, columns: Sequence[str], records: Sequence[RowValues]
) -> int:
    if not records:
        return 0
    from_api = table is api_transaction_logs
    (share_writing if from_api else lock_for_writing)(connection)
    other = transaction_history_logs if from_api else api_transaction_logs
    inserted = insert_new(connection, table, other, columns, records)
    if inserted.records:
        count_columns(connection, seen_columns(columns, inserted.records))
    if inserted.duplicates:
        _correct_copies(connection, columns, inserted, from_api=from_api)
    return len(inserted.records)


def _correct_copies(
    connection: Connection, columns: Sequence[str], inserted: Inserted, *, from_api: bool
) -> None:
    """Count out again what the other log holds too: both copies are one transaction."""
    changes = TileChanges()
    key = columns.index("transaction_id")
    copies = [record for record in inserted.records if record[key] in inserted.duplicates]
    rows = zip(*seen_columns(columns, copies).values(), strict=True)
    known_before = []
    for copy, seen in zip(copies, map(Seen._make, rows), strict=True):
        duplicate = inserted.duplicates[copy[key]]
        changes.add(duplicate, -1)
        changes.add(seen, -1)
        if from_api and duplicate.ingested_at < seen.ingested_at:
            known_before.append({"id": copy[key], "since": duplicate.ingested_at})
            seen = seen._replace(ingested_at=duplicate.ingested_at)  # noqa: PLW2901 - its true instant
        changes.add(merged(duplicate, seen) if from_api else merged(seen, duplicate))
    changes.write(connection)
    _keep_first_ingestion(connection, known_before)


def _keep_first_ingestion(
    connection: Connection, known_before: Sequence[Mapping[str, Any]]
) -> None:
    """A row that was known before it was scored stays in its neighbours' past.

    Were it ingested only now, every row between then and now would lose it.
    """
    if known_before:
        log = api_transaction_logs
        statement = update(log).where(log.c.transaction_id == bindparam("id"))
        connection.execute(statement.values(ingested_at=bindparam("since")), known_before)


def _count_relabelled(
    history: Mapping[str, Seen], api: Mapping[str, Seen], labels: Mapping[str, Label]
) -> TileChanges:
    changes = TileChanges()
    for key in history.keys() | api.keys():
        old, live, label = history.get(key), api.get(key), labels[key]
        changes.add(merged(old, live), -1)
        changes.add(merged(_relabelled(old, label), _relabelled(live, label)))
    return changes


def _relabelled(seen: Seen | None, label: Label) -> Seen | None:
    if seen is None or not _is_news(seen, label):
        return seen
    # labels of transactions are 1 or 0
    return seen._replace(label=cast(int, label.label), label_known_at=label.label_known_at_us)


def _is_news(seen: Seen, label: Label) -> bool:
    return seen.label_known_at is None or label.label_known_at_us >= seen.label_known_at


def _update_labels(
    connection: Connection, table: Table, seen: Mapping[str, Seen], labels: Mapping[str, Label]
) -> None:
    changed = [
        {
            "id": key,
            "new_label": labels[key].label,
            "new_known_at": labels[key].label_known_at_us,
            "new_source": labels[key].label_source,
            "new_sender": labels[key].label_sent_by,
        }
        for key, row in seen.items()
        if _is_news(row, labels[key])
    ]
    if not changed:
        return
    statement = (
        update(table)
        .where(table.c.transaction_id == bindparam("id"))
        .values(
            label=bindparam("new_label"),
            label_known_at=bindparam("new_known_at"),
            label_source=bindparam("new_source"),
            label_sent_by=bindparam("new_sender"),
        )
    )
    connection.execute(statement, changed)


def _records(
    table: Table, rows: Sequence[Mapping[str, Any]]
) -> tuple[tuple[str, ...], list[RowValues]]:
    columns = tuple(table.columns.keys())
    records: Iterable[RowValues] = (tuple(map(row.get, columns)) for row in rows)
    json_at = [at for at, column in enumerate(table.columns) if isinstance(column.type, JSON)]
    if json_at:
        records = (_encoded(record, json_at) for record in records)
    return columns, list(records)


def _encoded(record: RowValues, json_at: Sequence[int]) -> RowValues:
    values = list(record)
    for at in json_at:
        if values[at] is not None:
            values[at] = to_json(values[at])
    return tuple(values)
