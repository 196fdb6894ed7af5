"""The first schema: both transaction logs, merchant tiles, configuration and runs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import JSON

from shared.clock import SystemClock, isoformat

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# A covering index for the reads of a user's window.
HISTORY_COLUMNS = (
    "user_id",
    "event_time",
    "ingested_at",
    "transaction_id",
    "amount",
    "merchant_id",
    "merchant_category",
    "country",
    "lat",
    "lon",
    "device_id",
    "utc_offset_min",
)


def upgrade() -> None:
    _create_log("transactionhistorylogs")
    _create_log("apitransactionlogs", *_decision_columns())
    _create_tiles()
    _create_runs()
    _create_configuration()


def _create_log(name: str, *decision: sa.Column[object]) -> None:
    op.create_table(
        name,
        *_transaction_columns(),
        *decision,
        sa.CheckConstraint("amount >= 0", name=f"{name}_amount_not_negative"),
        sa.CheckConstraint("label IS NULL OR label IN (0, 1)", name=f"{name}_label_binary"),
        sa.CheckConstraint(
            "(label IS NULL) = (label_known_at IS NULL)", name=f"{name}_label_has_instant"
        ),
    )
    op.create_index(f"ix_{name}_user_time", name, list(HISTORY_COLUMNS))
    op.create_index(f"ix_{name}_event_time", name, ["event_time"])


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


def _create_tiles() -> None:
    op.create_table(
        "merchanttiles",
        sa.Column("merchant_id", sa.String(128), primary_key=True),
        sa.Column("event_hour", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("known_hour", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(8), primary_key=True),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("positives", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )


def _create_runs() -> None:
    row_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "modeltrainingruns",
        sa.Column("runid", row_id, primary_key=True, autoincrement=True),
        sa.Column("rundate", sa.String(40), nullable=False),
        sa.Column("jobname", sa.String(64), nullable=False),
        sa.Column("scheduledfor", sa.String(40), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("statuscode", sa.String(64)),
        sa.Column("statusmessage", sa.Text),
        sa.Column("requestedby", sa.String(64)),
        sa.Column("startedat", sa.String(40)),
        sa.Column("finishedat", sa.String(40)),
        sa.Column("modelversion", sa.String(32)),
        sa.Column("championversion", sa.String(32)),
        sa.Column("datasize", sa.Integer),
        sa.Column("metrics", JSON),
        sa.Column("verdicts", JSON),
        sa.Column("decision", JSON),
        sa.Column("steps", JSON),
    )
    op.create_index(
        "uq_modeltrainingruns_due", "modeltrainingruns", ["jobname", "scheduledfor"], unique=True
    )
    op.create_index("ix_modeltrainingruns_status", "modeltrainingruns", ["status"])


def _create_configuration() -> None:
    config = op.create_table(
        "retrainingconfig",
        sa.Column("configid", sa.Integer, primary_key=True),
        sa.Column("interval", sa.String(64), nullable=False),
        sa.Column("isenabled", sa.SmallInteger, nullable=False),
        sa.Column("lastrun", sa.String(40)),
        sa.Column("nextrun", sa.String(40)),
        sa.Column("createdat", sa.String(40), nullable=False),
        sa.Column("updatedat", sa.String(40), nullable=False),
    )
    op.create_table(
        "featuresconfig",
        sa.Column("featurename", sa.String(64), primary_key=True),
        sa.Column("isenabled", sa.SmallInteger, nullable=False),
    )
    now = isoformat(SystemClock.now_us())
    weekly = {"configid": 1, "interval": "1W", "isenabled": 1, "createdat": now, "updatedat": now}
    op.bulk_insert(config, [weekly])
