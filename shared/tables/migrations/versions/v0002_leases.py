"""Runs are claimed with a lease and a fencing number; schedules in force have a table."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

RUNS = "modeltrainingruns"


def upgrade() -> None:
    for column in (
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("notbefore", sa.BigInteger),
        sa.Column("leaseowner", sa.String(64)),
        sa.Column("leaseuntil", sa.BigInteger),
        sa.Column("fencingnumber", sa.BigInteger),
        sa.Column("cancelrequestedby", sa.String(64)),
        sa.Column("candidatesha256", sa.String(64)),
    ):
        op.add_column(RUNS, column)
    op.create_index("ix_modeltrainingruns_fencing", RUNS, ["fencingnumber"])
    op.create_table(
        "jobschedules",
        sa.Column("jobname", sa.String(64), primary_key=True),
        sa.Column("interval", sa.String(64), nullable=False),
        sa.Column("isenabled", sa.SmallInteger, nullable=False),
        sa.Column("anchor", sa.BigInteger, nullable=False),
        sa.Column("inforcesince", sa.BigInteger, nullable=False),
        sa.Column("answeredto", sa.BigInteger, nullable=False),
        sa.Column("nextdue", sa.BigInteger),
        sa.Column("checkedat", sa.BigInteger, nullable=False),
        sa.Column("problem", sa.Text),
    )
