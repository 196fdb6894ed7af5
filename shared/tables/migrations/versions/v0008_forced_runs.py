"""Runs that a person forced although the champion is fresh: who, and why."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("modeltrainingruns", sa.Column("forcedby", sa.String(128)))
    op.add_column("modeltrainingruns", sa.Column("forcedreason", sa.Text))
