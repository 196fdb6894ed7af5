"""Arguments of a job beyond its name, such as the days and the interval of a replay."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("modeltrainingruns", sa.Column("arguments", sa.JSON))
