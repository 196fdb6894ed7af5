"""The tables both services read and write, as SQLAlchemy Core objects.

Instants are BIGINT microseconds since the epoch (UTC): exact, ordered and the same in
SQLite and PostgreSQL. Columns that people edit by hand (RetrainingConfig) are timestamps as
ISO 8601 text. All names are lower case in the database, so unquoted SQL in any
case works in both (`UPDATE RetrainingConfig SET Interval = '1D' WHERE ConfigId = 1`).
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)
from sqlalchemy.types import JSON

metadata = MetaData()

SENDER_CHARACTERS = 64
"""The longest name of a token."""

# SQLite only auto-increments INTEGER PRIMARY KEY; PostgreSQL wants BIGINT.
RowId = BigInteger().with_variant(Integer, "sqlite")


# The columns that a user's window reads, as a covering index: 71 rows of history
# come from a few adjacent pages (90 us) instead of one page a row (260 us).
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


def _transaction_columns() -> list[Column[object]]:
    """Columns of a transaction, the same in both logs."""
    return [
        Column("transaction_id", String(128), primary_key=True),
        Column("user_id", String(128), nullable=False),
        Column("event_time", BigInteger, nullable=False),
        Column("ingested_at", BigInteger, nullable=False),
        Column("amount", Float(53), nullable=False),
        Column("currency", String(3), nullable=False),
        Column("merchant_id", String(128), nullable=False),
        Column("transaction_type", String(32), nullable=False),
        Column("merchant_category", String(64)),
        Column("channel", String(32)),
        Column("country", String(32)),
        Column("lat", Float(53)),
        Column("lon", Float(53)),
        Column("home_lat", Float(53)),
        Column("home_lon", Float(53)),
        Column("device_id", String(128)),
        Column("utc_offset_min", SmallInteger),
        Column("label", SmallInteger),
        Column("label_known_at", BigInteger),
        Column("label_source", String(32)),
        # names of the callers who sent the row and its label; import/7 for the import that is
        # change 7, null where they were stored before names were recorded
        Column("sent_by", String(SENDER_CHARACTERS)),
        Column("label_sent_by", String(SENDER_CHARACTERS)),
    ]


def _transaction_rules(name: str) -> list[CheckConstraint | Index]:
    return [
        CheckConstraint("amount >= 0", name=f"{name}_amount_not_negative"),
        CheckConstraint("label IS NULL OR label IN (0, 1)", name=f"{name}_label_binary"),
        CheckConstraint(
            "(label IS NULL) = (label_known_at IS NULL)", name=f"{name}_label_has_instant"
        ),
        Index(f"ix_{name}_user_time", *HISTORY_COLUMNS),
        Index(f"ix_{name}_event_time", "event_time"),
    ]


transaction_history_logs = Table(
    "transactionhistorylogs",
    metadata,
    *_transaction_columns(),
    *_transaction_rules("transactionhistorylogs"),
)


def _decision_columns() -> list[Column[object]]:
    return [
        Column("score", Float(53)),
        Column("component_scores", JSON),
        Column("decision", String(16)),
        Column("matched_rules", JSON),
        Column("reason_codes", JSON),
        Column("model_version", String(32), nullable=False),
        Column("feature_set_version", String(32)),
        # float32 little-endian: every feature of feature_set_version, as scored
        Column("feature_vector", LargeBinary),
        Column("latency_ms", Float(53)),
    ]


api_transaction_logs = Table(
    "apitransactionlogs",
    metadata,
    *_transaction_columns(),
    *_decision_columns(),
    *_transaction_rules("apitransactionlogs"),
)

# Quarantined rows (ADR 0034): read by no window, tile or snapshot, so they
# need no index beside that of their ids.
quarantined_transaction_logs = Table(
    "quarantinedtransactionlogs",
    metadata,
    *_transaction_columns(),
    *_decision_columns(),
)

# Rows of one merchant in one hour of event time, by the hour they became known. Both clocks
# are kept so that a late row never appears in a window that had closed before it arrived.
merchant_tiles = Table(
    "merchanttiles",
    metadata,
    Column("merchant_id", String(128), primary_key=True),
    Column("event_hour", Integer, primary_key=True, autoincrement=False),
    Column("known_hour", Integer, primary_key=True, autoincrement=False),
    # 'row': known_hour is the hour of ingested_at; 'label': the hour of label_known_at
    Column("kind", String(8), primary_key=True),
    Column("rows", Integer, nullable=False),
    Column("positives", Integer, nullable=False),
    # the key is nearly the whole row: without a rowid SQLite stores and writes it once
    sqlite_with_rowid=False,
)

retraining_config = Table(
    "retrainingconfig",
    metadata,
    Column("configid", Integer, primary_key=True),
    Column("interval", String(64), nullable=False),
    # 0 or 1: an integer, because PostgreSQL refuses `SET IsEnabled = 0` on a boolean
    Column("isenabled", SmallInteger, nullable=False),
    Column("lastrun", String(40)),
    Column("nextrun", String(40)),
    Column("createdat", String(40), nullable=False),
    Column("updatedat", String(40), nullable=False),
)

model_training_runs = Table(
    "modeltrainingruns",
    metadata,
    Column("runid", RowId, primary_key=True, autoincrement=True),
    Column("rundate", String(40), nullable=False),
    Column("jobname", String(64), nullable=False),
    # the due instant of this run; for a manual trigger the instant of the request
    Column("scheduledfor", String(40), nullable=False),
    Column("status", String(16), nullable=False),
    Column("statuscode", String(64)),
    Column("statusmessage", Text),
    Column("requestedby", String(64)),
    Column("startedat", String(40)),
    Column("finishedat", String(40)),
    Column("modelversion", String(32)),
    Column("championversion", String(32)),
    Column("datasize", Integer),
    Column("metrics", JSON),
    Column("verdicts", JSON),
    Column("decision", JSON),
    Column("steps", JSON),
    # the number of starts, and the earliest next start (database clock)
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("notbefore", BigInteger),
    # owner and expiry of the lease, and the fencing number, which grows with every claim
    Column("leaseowner", String(64)),
    Column("leaseuntil", BigInteger),
    Column("fencingnumber", BigInteger),
    Column("cancelrequestedby", String(64)),
    # sha256 of the bundle, written before it is pushed
    Column("candidatesha256", String(64)),
    # the person who forced the run although the champion is fresh, and the reason
    Column("forcedby", String(128)),
    Column("forcedreason", Text),
    # arguments of the job, such as the days and the interval of a replay
    Column("arguments", JSON),
    Index("uq_modeltrainingruns_due", "jobname", "scheduledfor", unique=True),
    Index("ix_modeltrainingruns_status", "status"),
    Index("ix_modeltrainingruns_fencing", "fencingnumber"),
)

# The schedule in force for each job, and the instant up to which due runs are recorded.
job_schedules = Table(
    "jobschedules",
    metadata,
    Column("jobname", String(64), primary_key=True),
    Column("interval", String(64), nullable=False),
    Column("isenabled", SmallInteger, nullable=False),
    Column("anchor", BigInteger, nullable=False),
    Column("inforcesince", BigInteger, nullable=False),
    Column("answeredto", BigInteger, nullable=False),
    Column("nextdue", BigInteger),
    Column("checkedat", BigInteger, nullable=False),
    # the error of the current configuration, while the last valid one stays in force
    Column("problem", Text),
)

# Leadership leases for work of one scheduler at a time that is not a run: owner, expiry,
# and the fencing number, which grows each time a lease is taken or extended.
duties = Table(
    "duties",
    metadata,
    Column("duty", String(64), primary_key=True),
    Column("leaseowner", String(64), nullable=False),
    Column("leaseuntil", BigInteger, nullable=False),
    Column("fencingnumber", BigInteger, nullable=False),
)

# Replaced labels and their replacements; the logs hold the latest label only.
label_changes = Table(
    "labelchanges",
    metadata,
    Column("changeid", RowId, primary_key=True, autoincrement=True),
    Column("transaction_id", String(128), nullable=False),
    Column("label", SmallInteger, nullable=False),
    Column("label_known_at", BigInteger, nullable=False),
    Column("label_source", String(32)),
    Column("label_sent_by", String(SENDER_CHARACTERS)),
    Column("new_label", SmallInteger, nullable=False),
    Column("replaced_at", BigInteger, nullable=False),
    Index("ix_labelchanges_replaced_at", "replaced_at"),
)

features_config = Table(
    "featuresconfig",
    metadata,
    Column("featurename", String(64), primary_key=True),
    # 0 or 1: an integer, because PostgreSQL refuses `SET IsEnabled = 0` on a boolean
    Column("isenabled", SmallInteger, nullable=False),
)

# Changes of rows by commands: imports, corrections, removals, and undoing them.
data_changes = Table(
    "datachanges",
    metadata,
    Column("changeid", RowId, primary_key=True, autoincrement=True),
    # import, seed, fix, remove, undo or erase of rows; schedule, or a run that was cancelled
    Column("kind", String(16), nullable=False),
    Column("changedat", String(40), nullable=False),
    Column("changedby", String(64), nullable=False),
    Column("reason", Text),
    Column("details", JSON),
    # the change that undid this one
    Column("undoneby", BigInteger),
)

# Rows as they were before a change touched them; all columns of a removed row, else those changed.
replaced_rows = Table(
    "replacedrows",
    metadata,
    Column("changeid", BigInteger, primary_key=True, autoincrement=False),
    Column("log", String(32), primary_key=True),
    Column("transaction_id", String(128), primary_key=True),
    Column("before", JSON, nullable=False),
)

# Every check of a rollout by the scheduler: both arms, and each test with its limit.
rollout_looks = Table(
    "rolloutlooks",
    metadata,
    Column("lookid", RowId, primary_key=True, autoincrement=True),
    Column("version", String(32), nullable=False),
    Column("champion", String(32), nullable=False),
    # identifies the rollout: a version may be on trial more than once
    Column("beganat", BigInteger, nullable=False),
    Column("lookedat", BigInteger, nullable=False),
    Column("mode", String(16), nullable=False),
    Column("sharepercent", Integer, nullable=False),
    Column("step", String(16), nullable=False),
    Column("code", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("arms", JSON, nullable=False),
    Column("tests", JSON, nullable=False),
    Index("ix_rolloutlooks_version", "version", "lookedat"),
    Index("ix_rolloutlooks_lookedat", "lookedat"),
)

# Candidates that passed every gate and wait for a person, one a run.
approvals = Table(
    "approvals",
    metadata,
    Column("runid", RowId, primary_key=True, autoincrement=False),
    Column("version", String(32), nullable=False),
    Column("sha256", String(64), nullable=False),
    # the champion of the comparison; a change of the live version makes it void
    Column("championversion", String(32)),
    # waiting, approved, refused, expired or void
    Column("state", String(16), nullable=False),
    Column("requestedat", BigInteger, nullable=False),
    Column("expiresat", BigInteger, nullable=False),
    Column("decidedat", BigInteger),
    Column("decidedby", String(128)),
    Column("reason", Text),
    Index("ix_approvals_state", "state"),
    Index("ix_approvals_version", "version"),
)

# Webhook notifications: one for each event, retried until delivered or given up.
notifications = Table(
    "notifications",
    metadata,
    Column("notificationid", RowId, primary_key=True, autoincrement=True),
    # id of the event, such as run/12: at most one notification for each event
    Column("source", String(128), nullable=False, unique=True),
    Column("event", String(32), nullable=False),
    Column("happenedat", BigInteger, nullable=False),
    Column("body", JSON, nullable=False),
    # waiting, sent or given_up
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("notbefore", BigInteger, nullable=False, server_default="0"),
    Column("sentat", BigInteger),
    Column("problem", Text),
    Index("ix_notifications_state", "state", "notbefore"),
)
