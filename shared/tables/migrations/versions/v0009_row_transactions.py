"""PostgreSQL: the number of the transaction that stored a row, for those who follow new rows.

A column with a default that changes would rewrite the table; added first and given its default
then, rows that are there have none, and no reader waits.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_NOW = "(pg_current_xact_id()::text::bigint)"


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in ("apitransactionlogs", "transactionhistorylogs"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS xact bigint")
        op.execute(f"ALTER TABLE {table} ALTER COLUMN xact SET DEFAULT {_NOW}")
        op.execute(f"CREATE INDEX IF NOT EXISTS ix_{table}_xact ON {table} (xact)")
