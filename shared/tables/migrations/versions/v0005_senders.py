"""Senders of rows and labels, and a separate log of quarantined rows."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import JSON

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SENDER_CHARACTERS = 64


def upgrade() -> None:
    for table in ("apitransactionlogs", "transactionhistorylogs", "labelchanges"):
        op.add_column(table, sa.Column("label_sent_by", sa.String(SENDER_CHARACTERS)))
    for table in ("apitransactionlogs", "transactionhistorylogs"):
        op.add_column(table, sa.Column("sent_by", sa.String(SENDER_CHARACTERS)))
    op.create_table("quarantinedtransactionlogs", *_transaction_columns(), *_decision_columns())


def _transaction_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("transaction_id", sa.String(128), primary_key=True),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("event_time", sa.BigInteger, nullable=False),
        sa.Column("ingested_at", sa.BigInteger, nullable=False),
        sa.Column("amount", sa.Float(53), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("merchant_id", sa.String(128), nullable=False),
        sa.Column("transaction_type", sa.String(32), nullable=False),
        sa.Column("merchant_category", sa.String(64)),
        sa.Column("channel", sa.String(32)),
        sa.Column("country", sa.String(32)),
        sa.Column("lat", sa.Float(53)),
        sa.Column("lon", sa.Float(53)),
        sa.Column("home_lat", sa.Float(53)),
        sa.Column("home_lon", sa.Float(53)),
        sa.Column("device_id", sa.String(128)),
        sa.Column("utc_offset_min", sa.SmallInteger),
        sa.Column("label", sa.SmallInteger),
        sa.Column("label_known_at", sa.BigInteger),
        sa.Column("label_source", sa.String(32)),
        sa.Column("sent_by", sa.String(SENDER_CHARACTERS)),
        sa.Column("label_sent_by", sa.String(SENDER_CHARACTERS)),
    ]


def _decision_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("score", sa.Float(53)),
        sa.Column("component_scores", JSON),
        sa.Column("decision", sa.String(16)),
        sa.Column("matched_rules", JSON),
        sa.Column("reason_codes", JSON),
        sa.Column("model_version", sa.String(32), nullable=False),
        sa.Column("feature_set_version", sa.String(32)),
        sa.Column("feature_vector", sa.LargeBinary),
        sa.Column("latency_ms", sa.Float(53)),
    ]
