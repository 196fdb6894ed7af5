"""Duties that one scheduler at a time performs while it holds a lease: driving rollouts."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "duties",
        sa.Column("duty", sa.String(64), primary_key=True),
        sa.Column("leaseowner", sa.String(64), nullable=False),
        sa.Column("leaseuntil", sa.BigInteger, nullable=False),
        sa.Column("fencingnumber", sa.BigInteger, nullable=False),
    )
