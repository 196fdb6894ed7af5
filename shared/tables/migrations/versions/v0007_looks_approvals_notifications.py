"""Looks of rollouts, candidates that wait for a person, and notifications on their way."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import JSON

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_RowId = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _looks()
    _approvals()
    _notifications()


def _looks() -> None:
    op.create_table(
        "rolloutlooks",
        sa.Column("lookid", _RowId, primary_key=True, autoincrement=True),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("champion", sa.String(32), nullable=False),
        sa.Column("beganat", sa.BigInteger, nullable=False),
        sa.Column("lookedat", sa.BigInteger, nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("sharepercent", sa.Integer, nullable=False),
        sa.Column("step", sa.String(16), nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("arms", JSON, nullable=False),
        sa.Column("tests", JSON, nullable=False),
    )
    op.create_index("ix_rolloutlooks_version", "rolloutlooks", ["version", "lookedat"])
    op.create_index("ix_rolloutlooks_lookedat", "rolloutlooks", ["lookedat"])


def _approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("runid", _RowId, primary_key=True, autoincrement=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("championversion", sa.String(32)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("requestedat", sa.BigInteger, nullable=False),
        sa.Column("expiresat", sa.BigInteger, nullable=False),
        sa.Column("decidedat", sa.BigInteger),
        sa.Column("decidedby", sa.String(128)),
        sa.Column("reason", sa.Text),
    )
    op.create_index("ix_approvals_state", "approvals", ["state"])
    op.create_index("ix_approvals_version", "approvals", ["version"])


def _notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("notificationid", _RowId, primary_key=True, autoincrement=True),
        sa.Column("source", sa.String(128), nullable=False, unique=True),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("happenedat", sa.BigInteger, nullable=False),
        sa.Column("body", JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("notbefore", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("sentat", sa.BigInteger),
        sa.Column("problem", sa.Text),
    )
    op.create_index("ix_notifications_state", "notifications", ["state", "notbefore"])
