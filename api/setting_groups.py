"""The settings of the scoring service, group by group; api/settings.py composes them."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from shared.outbound import Address
from shared.settings import AbsolutePath, SettingGroup
from shared.sizes import GIB, MIB
from shared.usecase.serving import DEFAULT_BOUNDS

_ORIGIN = r"https?://[A-Za-z0-9.\[\]:-]+"
ORIGINS = rf"^({_ORIGIN}(\s*,\s*{_ORIGIN})*)?$"
_HOST = r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*"
HOSTS = rf"^(\*|({_HOST}(\s*,\s*{_HOST})*)?)$"


class AccessSettings(SettingGroup):
    """Access to the API."""

    failed_attempts_per_minute: int = Field(
        default=30,
        ge=0,
        description="Requests with wrong credentials that a process accepts from one address in a "
        "minute; further ones get 429. 0 disables the limit.",
    )
    changes_per_minute: int = Field(
        default=120,
        ge=0,
        description="Pushes, rollbacks, alerts and triggers that a process accepts from one role "
        "in a minute; further ones get 429. 0 disables the limit.",
    )
    person_required: bool = Field(
        default=False,
        description="Whether changes with the operator's token have to name a person (header "
        "X-Person, or `person` in the body), for the audit trail; without a name they get 422.",
    )
    allowed_hosts: str = Field(
        default="",
        pattern=HOSTS,
        description="Host names that callers may use, in addition to localhost, the name of this "
        "machine, API_HOST and any IP address; others get 421. Comma-separated; .example.com "
        "allows every name below it, * allows any name.",
    )
    cors_origins: str = Field(
        default="",
        pattern=ORIGINS,
        description="Origins whose web pages may read responses in a browser, and write. "
        "Comma-separated. Empty: none.",
    )
    console_url: Address | None = Field(
        default=None,
        description="Address of the console for browsers, which the page at / links to. None: no "
        "link.",
    )


class RequestLimitSettings(SettingGroup):
    """Limits of requests."""

    body_max_bytes: int = Field(
        default=64 * 1024,
        ge=1024,
        description="Largest body of a request that scores one row, in bytes; larger ones get 413.",
    )
    batch_max_bytes: int = Field(
        default=4 * MIB,
        ge=1024,
        description="Largest body of a batch of rows or labels in bytes; larger ones get 413.",
    )
    batch_max_rows: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="Most rows in one batch; larger batches get 422.",
    )
    explained_batch_max_rows: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="Most rows in one batch that asks for reasons (`?reasons=N`); larger ones get "
        "422. Explaining a row costs up to some milliseconds, on a thread.",
    )
    bundle_max_bytes: int = Field(
        default=64 * MIB,
        ge=1024,
        description="Largest bundle that can be pushed, in bytes; larger ones get 413.",
    )
    max_connections: int = Field(
        default=1_000,
        ge=8,
        le=60_000,
        description="Connections that a process holds at once, lowered to what the limit of open "
        "files (`ulimit -n`) allows. Beyond it, the connections idle for longest are closed.",
    )
    keep_alive_seconds: int = Field(
        default=75,
        ge=1,
        le=3_600,
        description="Seconds until an idle connection is closed. Clients and load balancers must "
        "give theirs up earlier (httpx: 5 s, HAProxy and AWS: 60 s, Google: 600 s): a request on a "
        "connection that is being closed fails.",
    )
    anonymous_bytes_per_second: int = Field(
        default=8 * MIB,
        ge=0,
        description="Bytes a second that rows of callers without a token may add to journal and "
        "database, in each process: 1 kB a row and twice the size of its request. Unused bytes of "
        "the last ten minutes may be used at once; beyond them rows get 429. 0 disables the limit.",
    )
    disk_reserve_bytes: int = Field(
        default=GIB,
        ge=0,
        description="Free bytes, on the disks of the journal and of the SQLite file, that rows of "
        "callers without a token never take (503): at most a fiftieth of the disk, and nothing of "
        "a disk below 1 GiB. 0 disables the reserve.",
    )


class WorkerSettings(SettingGroup):
    """Several workers."""

    worker_hang_seconds: float = Field(
        default=30,
        ge=0,
        description="Seconds after which a worker whose event loop does not move is killed and "
        "started again; values below 2 count as 2. Only with several workers. 0 disables it.",
    )
    peer_wait_seconds: float = Field(
        default=10,
        gt=0,
        le=60,
        description="Seconds that a row waits for the worker that owns its user, while that worker "
        "restarts or hangs, before it gets 503 `worker-unavailable`.",
    )
    run_dir: AbsolutePath = Field(
        default=Path("var/run"),
        description="Folder for the state that workers share: on a local disk, writable, one for "
        "each service.",
    )


class JournalSettings(SettingGroup):
    """Journal."""

    journal_dir: AbsolutePath = Field(
        default=Path("var/journal"),
        description="Folder of the write-ahead log of decisions.",
    )
    journal_max_bytes: int = Field(
        default=256 * MIB,
        ge=64 * 1024,
        description="Largest size of a worker's journal in bytes. While it is full, because the "
        "database is away, scoring gets 503.",
    )
    journal_fsync: bool = Field(
        default=False,
        description="Whether every decision is flushed to the disk before its response. true: a "
        "power cut loses nothing that was acknowledged, for the price of one flush a request. "
        "false: a power cut can lose what was not yet in the database.",
    )
    journal_commit: Literal["disk", "database"] = Field(
        default="disk",
        description="Where a decision has to be before its response leaves. `disk`: in the journal "
        "of this machine. `database`: committed in the database, for several hosts: a machine that "
        "is lost with its disk loses nothing acknowledged, and a row that is sent again to another "
        "host gets the same answer.",
    )
    journal_commit_seconds: float = Field(
        default=5,
        gt=0,
        le=60,
        description="Seconds that a response waits for the database with JOURNAL_COMMIT=database, "
        "before it becomes 503 `commit-timeout`.",
    )
    journal_drain_seconds: float = Field(
        default=0.25,
        gt=0,
        le=60,
        description="Pause in seconds between two transfers of the journal to the database; at "
        "least 1 s after a transfer of 1,000 rows or more.",
    )
    journal_drain_in: Literal["process", "thread"] = Field(
        default="process",
        description="Where the drain runs. `process`: storing rows never delays responses; "
        "`thread`: about 70 MiB less memory, and storing rows delays responses under load.",
    )


class ModelSettings(SettingGroup):
    """Models that are served."""

    smoke_timeout_seconds: float = Field(
        default=30,
        gt=0,
        description="Seconds that the child process which loads and tests a pushed model may take.",
    )
    smoke_memory_bytes: int = Field(
        default=2 * GIB,
        ge=256 * MIB,
        description="Memory in bytes that this child process may take.",
    )
    served_well_seconds: float = Field(
        default=600,
        ge=0,
        description="Seconds in service after which a version, once it also has SERVED_WELL_ROWS, "
        "counts as having served well. A rollback goes to such a version first.",
    )
    served_well_rows: int = Field(
        default=100,
        ge=0,
        description="Rows, in one worker since its activation, that a version needs to count as "
        "having served well.",
    )


class BreakerSettings(SettingGroup):
    """Circuit breaker."""

    breaker_failures: int = Field(
        default=5,
        ge=0,
        description="Roll back after this many rows that the live version fails on and its "
        "fallback scores, in one worker within BREAKER_WINDOW_SECONDS. 0 disables it.",
    )
    breaker_window_seconds: float = Field(
        default=60, gt=0, description="Seconds within which failures are counted."
    )
    scoring_budget_seconds: float = Field(
        default=0.05,
        ge=0,
        description="Seconds a row that the live model may take. A call that takes longer counts "
        "as a failure for BREAKER_FAILURES, unless the fallback is as slow then. 0 disables it.",
    )
    breaker_crashes: int = Field(
        default=3,
        ge=0,
        description="Roll back after this many processes died inside the model code of a version "
        "in its first hour, within BREAKER_CRASH_WINDOW_SECONDS. 0 disables it.",
    )
    breaker_crash_window_seconds: float = Field(
        default=600, gt=0, description="Seconds within which crashes are counted."
    )


class ShadowSettings(SettingGroup):
    """Shadow of a rollout."""

    shadow_queue_bytes: int = Field(
        default=256 * 1024,
        ge=4 * 1024,
        le=MIB,
        description="Size in bytes of the queue of rows for the shadow's process; rows that do not "
        "fit are dropped and counted.",
    )
    shadow_memory_bytes: int = Field(
        default=2 * GIB,
        ge=256 * MIB,
        description="Memory in bytes that the shadow's process may take.",
    )
    shadow_hang_seconds: float = Field(
        default=10,
        gt=0,
        description="Seconds without progress after which the shadow's process is restarted.",
    )


class ScoringSettings(SettingGroup):
    """Scoring."""

    answered_capacity: int = Field(
        default=2_000,
        ge=0,
        description="Stored decisions kept in memory, so that a retry needs no database. 0 keeps "
        "none.",
    )
    window_users: int = Field(
        default=DEFAULT_BOUNDS.users,
        ge=0,
        description="Users whose recent rows each worker keeps in memory, of use cases with a "
        "history. 0 keeps none: every row reads the database.",
    )
    window_rows: int = Field(
        default=DEFAULT_BOUNDS.rows,
        ge=0,
        description="Rows of all these users together, 96 bytes each. Size it as 2,600 for each "
        "user with thousands of rows a month who is active at once, and 100 for every other one; "
        "users beyond it are read from the database.",
    )
    history_deadline_ms: float = Field(
        default=250,
        ge=10,
        le=10_000,
        description="Milliseconds, for each 50 rows begun, in which a request reads history from "
        "PostgreSQL. After that it is scored without the history, and marked.",
    )
    scoring_in_threads: Literal["auto", "on"] = Field(
        default="auto",
        description="Whether each request has a thread. `auto`: rows of many requests are scored "
        "together, on the event loop, or on one thread where history comes over a network or the "
        "model is slow; `on`: always.",
    )
    scoring_threads: int = Field(
        default=8, ge=1, le=256, description="Threads for scoring and for reading history."
    )
