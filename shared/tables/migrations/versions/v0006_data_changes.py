"""Changes of rows by command, with the previous rows, so that they can be undone."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import JSON

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "datachanges",
        sa.Column(
            "changeid",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("changedat", sa.String(40), nullable=False),
        sa.Column("changedby", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("details", JSON),
        sa.Column("undoneby", sa.BigInteger),
    )
    op.create_table(
        "replacedrows",
        sa.Column("changeid", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("log", sa.String(32), primary_key=True),
        sa.Column("transaction_id", sa.String(128), primary_key=True),
        sa.Column("before", JSON, nullable=False),
    )
