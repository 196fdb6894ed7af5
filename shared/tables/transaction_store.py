"""Transactions between requests, the journal and the two logs."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Engine, FromClause

from shared.clock import isoformat
from shared.contracts.feedback import FeedbackRequest
from shared.tables.engine import migrate
from shared.tables.schema import (
    api_transaction_logs,
    label_changes,
    quarantined_transaction_logs,
)
from shared.tables.writer import (
    WrittenLabels,
    store_labels,
    write_decision_records,
    write_quarantined_records,
)
from shared.transaction import ATTRIBUTE_OF, Label, Transaction
from shared.usecase.rows import RowFields

Records = Sequence[tuple[Any, ...]]


class TransactionStore:
    """Implements `RowStore`; a column, an attribute and a field of a request share a name."""

    fields = RowFields("transaction_id", "user_id")
    feedback_request = FeedbackRequest
    label_changes = label_changes
    columns = tuple(ATTRIBUTE_OF)
    values = staticmethod(attrgetter(*ATTRIBUTE_OF.values()))

    def field_of(self, column: str) -> str:
        return column

    def row(self, values: Mapping[str, Any]) -> Transaction:
        return Transaction(**{name: values[column] for column, name in ATTRIBUTE_OF.items()})

    def shown(self, values: Mapping[str, Any]) -> dict[str, Any]:
        found = {column: values[column] for column in self.columns}
        return found | {name: isoformat(found[name]) for name in ("event_time", "ingested_at")}

    def label_name(self, stored: Any) -> str | None:
        return "positive" if stored else "negative"

    def decided(self, *, quarantined: bool) -> FromClause:
        return quarantined_transaction_logs if quarantined else api_transaction_logs

    decided_ids = decided

    def prepare(self, engine: Engine) -> None:
        migrate(engine)

    def write_decisions(
        self, connection: Connection, columns: Sequence[str], records: Records
    ) -> int:
        return write_decision_records(connection, columns, records)

    def write_quarantined(
        self, connection: Connection, columns: Sequence[str], records: Records
    ) -> int:
        return write_quarantined_records(connection, columns, records)

    def store_labels(self, connection: Connection, labels: Sequence[Label]) -> WrittenLabels:
        return store_labels(connection, labels)


TRANSACTIONS = TransactionStore()
