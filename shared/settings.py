"""Settings: environment variables, read once at start, checked and frozen.

A service composes its settings class of groups. Each field is the environment variable of the
same name in capitals, and its description is the text of docs/operations/settings.md and of
`--help`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from native.catalogue import PartNames
from shared.errors import SettingsError
from shared.log_limits import LogLimits
from shared.outbound import Address, StoreUrl, TableAddress, own_api
from shared.sizes import MIB, read_size
from shared.tables.url import DatabaseUrl

AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]
"""A setting's type: made absolute once, so that a child in another folder means the same file."""


class SettingGroup(BaseSettings):
    """Settings that belong together; the first line of a group's docstring is its heading."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, validate_default=True
    )

    @model_validator(mode="before")
    @classmethod
    def _below_var_dir(cls, given: Any) -> Any:
        """The default of a path below VAR_DIR, where that is set or follows from USE_CASE."""
        if not isinstance(given, dict) or "var_dir" not in cls.model_fields:
            return given
        root = _var_dir(cls, given)
        return given if root is None else {**_moved(cls, root), **given, "var_dir": root}

    @field_validator("*", mode="before")
    @classmethod
    def _sizes_with_units(cls, given: Any, info: ValidationInfo) -> Any:
        """A size as the docs write it: `256 MiB` for every setting that counts bytes."""
        is_size = isinstance(given, str) and "_bytes" in (info.field_name or "")
        return read_size(given) if is_size else given


Chosen = TypeVar("Chosen", bound=SettingGroup)


class DataSettings(SettingGroup):
    """Data and keys."""

    # A secret: the URL may carry a password.
    database_url: DatabaseUrl = Field(
        default=SecretStr("sqlite:///var/understudy.db"),
        description="Database of transactions, labels and runs: a SQLite file on a local disk, or "
        "postgresql://user:password@host:5432/name.",
    )
    var_dir: AbsolutePath | None = Field(
        default=None,
        description="Folder of everything that is kept: database, keys, journal, logs, models and "
        "candidates, each unless it is set itself. None: var/NAME where USE_CASE names another "
        "use case than its default, so that several live beside each other; else the defaults.",
    )
    keys_dir: AbsolutePath = Field(
        default=Path("var/keys"),
        description="Folder of keys and tokens: signing/ (scheduler only), trust/, push/ and "
        "feedback/ (both services), api/ (API only). Missing keys are made at the first start.",
    )


class LakeSettings(SettingGroup):
    """Lake."""

    lake_url: TableAddress | None = Field(
        default=None,
        description="Lake of old rows: a folder, or a bucket such as s3://bucket/path, whose keys "
        "and address are AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL and "
        "AWS_REGION. Training reads it together with the database, and archived rows go there "
        "instead of ARCHIVE_DIR. None: no lake.",
    )


class LogSettings(SettingGroup):
    """Logs."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe level that is logged."
    )
    log_format: Literal["console", "json"] = Field(
        default="console", description="Format of a log line: for people, or JSON for machines."
    )
    log_file: AbsolutePath | None = Field(
        default=None, description="File to log to, in addition to standard output. None: no file."
    )
    log_lines_per_minute: int = Field(
        default=60,
        ge=0,
        description="Lines of one event that a process logs in a minute. Further lines are counted "
        "and reported in one line, `log_lines_left_out`. 0 disables the limit.",
    )
    log_file_max_bytes: int = Field(
        default=50 * MIB,
        ge=64 * 1024,
        description="Size in bytes at which LOG_FILE is rotated: it becomes LOG_FILE.1, and so on.",
    )
    log_files_kept: int = Field(
        default=5, ge=0, le=100, description="Rotated log files that are kept. 0 keeps none."
    )

    @property
    def log_limits(self) -> LogLimits:
        return LogLimits(self.log_lines_per_minute, self.log_file_max_bytes, self.log_files_kept)


class TracingSettings(SettingGroup):
    """Traces."""

    otel_exporter_otlp_endpoint: Address | None = Field(
        default=None,
        description="OpenTelemetry collector that traces are sent to over HTTP, e.g. "
        "http://collector:4318; /v1/traces is added. None: no traces, and no process that sends "
        "them. The SDK's other variables (OTEL_EXPORTER_OTLP_HEADERS and so on) apply.",
    )


class NativeSettings(SettingGroup):
    """Native parts."""

    native_parts_off: PartNames = Field(
        default="",
        description="Native parts that are not used, comma-separated, or `all`; their fallbacks "
        "are used instead (docs/couplings.md). Empty: every part that works here is used.",
    )


class ListenSettings(SettingGroup):
    """Address and workers of the API."""

    api_host: str = Field(
        default="127.0.0.1",
        description="Address the API listens on. Other than a loopback address, it needs "
        "SCORING_AUTH=on or OPEN_SCORING_REACH.",
    )
    api_port: int = Field(
        default=8000,
        ge=0,
        le=65_535,
        description="Port the API listens on. 0 lets the operating system choose a free one.",
    )
    api_workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes that score, on one port; `--workers N` sets the same.",
    )


class ApiClientSettings(SettingGroup):
    """Calls to the API."""

    api_url: Address = Field(
        default_factory=own_api,
        validate_default=True,
        description="Address of the API, for pushes by the scheduler and for commands. Default: "
        "http://127.0.0.1 with API_PORT.",
    )


class CandidateSettings(SettingGroup):
    """Candidates on disk."""

    retrained_models_dir: AbsolutePath = Field(
        default=Path("retrained_models"),
        description="Folder of the candidates, each with its verdicts and report.",
    )
    candidates_kept: int = Field(
        default=10, ge=2, description="Newest candidates that are kept in RETRAINED_MODELS_DIR."
    )


class RegistrySettings(SettingGroup):
    """Models that are served."""

    prod_models_dir: AbsolutePath = Field(
        default=Path("prod_models"),
        description="Folder of the registry: the versions, and which of them is live.",
    )


class StoreSettings(SettingGroup):
    """Several hosts."""

    store_url: StoreUrl | None = Field(
        default=None,
        description="Store that all hosts share, for the registry, candidates and reports: "
        "s3://bucket/prefix, gs://bucket/prefix, az://account/container/prefix, or file:///folder "
        "for a mount that all of them have. One prefix a use case. None: this host is on its own.",
    )
    store_endpoint: Address | None = Field(
        default=None,
        description="Address of a server that speaks S3, e.g. http://seaweedfs:8333. None: that of "
        "the cloud, or AWS_ENDPOINT_URL.",
    )
    store_region: str = Field(
        default="",
        description="Region of the bucket. Empty: AWS_REGION, or us-east-1.",
    )
    store_access_key_id: SecretStr | None = Field(
        default=None,
        description="Name of the key for S3. None: the usual variables and services of the cloud "
        "(AWS_ACCESS_KEY_ID and so on).",
    )
    store_secret_access_key: SecretStr | None = Field(
        default=None, description="Secret of the key for S3. None: as STORE_ACCESS_KEY_ID."
    )
    store_timeout_seconds: float = Field(
        default=1.0,
        gt=0,
        le=30,
        description="Seconds that a conditional write or a read of the shared state may take. A "
        "rollback waits for at most one of them, and is carried out on this host all the same.",
    )
    store_transfer_timeout_seconds: float = Field(
        default=30,
        gt=0,
        le=600,
        description="Seconds that the transfer of a bundle or report to or from the store may "
        "take.",
    )
    store_poll_seconds: float = Field(
        default=1.0,
        ge=0.1,
        le=60,
        description="Seconds between two checks of the shared state, by its ETag.",
    )


class ReachSettings(SettingGroup):
    """Access to the API."""

    scoring_auth: Literal["on", "off"] = Field(
        default="off",
        description="Whether scoring and reading need a token. Labels, pushes, rollbacks, alerts "
        "and triggers always need one.",
    )
    open_scoring_reach: Literal["loopback", "private-network", "anywhere"] = Field(
        default="loopback",
        description="From where callers without credentials can reach the port while "
        "SCORING_AUTH=off: this machine, machines that you control, or anywhere. Their rows become "
        "history and training data, except with `anywhere`: then they are scored and quarantined.",
    )


class DriftReportSettings(SettingGroup):
    """Drift."""

    drift_reports_dir: AbsolutePath = Field(
        default=Path("var/drift"), description="Folder of the drift reports, pages and JSON."
    )


class ReplaySettings(SettingGroup):
    """Replays."""

    replay_dir: AbsolutePath = Field(
        default=Path("var/replay"),
        description="Folder of replays and their reports, which the console compares: --work of "
        "`understudy replay`.",
    )


class ConsoleListenSettings(SettingGroup):
    """Address of the console."""

    console_host: str = Field(
        default="127.0.0.1",
        description="Address the console listens on. Other than a loopback address, pages need a "
        "session unless SCORING_AUTH=off and OPEN_SCORING_REACH is not `loopback`.",
    )
    console_port: int = Field(
        default=8001,
        ge=0,
        le=65_535,
        description="Port the console listens on. 0 lets the operating system choose a free one.",
    )


class PickleSettings(SettingGroup):
    """Models that are not ONNX graphs."""

    allow_pickle_models: bool = Field(
        default=False,
        description="Accept models that are pickled Python objects. Loading one runs its code; it "
        "must still be signed, and it is tried in a child process first. Set it for both services.",
    )


_IN_VAR = "var"
_BESIDE_VAR = ("prod_models", "retrained_models", "test_data")


def _var_dir(kind: type[SettingGroup], given: dict[str, Any]) -> Path | None:
    """The folder of all data; None: every setting has its own default."""
    if given.get("var_dir"):
        return Path(str(given["var_dir"])).absolute()
    field, name = kind.model_fields.get("use_case"), str(given.get("use_case") or "")
    is_usual = field is None or name in ("", field.default)
    return None if is_usual or not name.isidentifier() else Path(_IN_VAR, name).absolute()


def _moved(kind: type[SettingGroup], root: Path) -> dict[str, Any]:
    """The defaults of paths, below another folder."""
    moved: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        default = field.default
        if isinstance(default, Path) and not default.is_absolute():
            if default.parts[0] == _IN_VAR:
                moved[name] = root.joinpath(*default.parts[1:])
            elif default.parts[0] in _BESIDE_VAR:
                moved[name] = root / default
        elif name == "database_url":
            moved[name] = f"sqlite:///{root}/understudy.db"
    return moved


def load(kind: type[Chosen]) -> Chosen:
    """The settings of this class, from the environment.

    Raises:
        SettingsError: names every variable that cannot be used, why, and the remedy.
    """
    try:
        return kind()
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise SettingsError(
            "; ".join(_explain(kind, str(item["loc"][0]), item["msg"]) for item in found)
        ) from error


def _explain(kind: type[SettingGroup], name: str, problem: str) -> str:
    default = kind.model_fields[name].get_default(call_default_factory=True)
    shown = default.get_secret_value() if isinstance(default, SecretStr) else default
    fault = problem.removeprefix("Value error, ")
    return (
        f"{name.upper()}: {fault}; set it to a valid value or unset it to use the default ({shown})"
    )
