"""The keys of usecase.toml as strict models: nothing unknown, nothing of another type.

Each key is checked by itself; how they agree is checked by `coherence`.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

from shared.importing.mapping import CsvRules, NumberRules, Zone
from shared.outbound import check_place
from shared.rows.quantities import (
    HeldOut,
    SliceRule,
    parse_duration,
    parse_held_out,
    parse_margin,
    parse_slice,
)
from shared.rows.schema import Kind, MomentPart
from shared.tasks import Margin, TaskKind
from shared.tasks.metrics import default_metric
from shared.tasks.task import MAX_CLASSES
from shared.usecase.serving import MOST_REASONS

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,47}")
MODEL_OF_YOURS = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
GRADIENT_BOOSTING = "gradient_boosting"
MODELS = (GRADIENT_BOOSTING, "lightgbm", "xgboost", "denoising_autoencoder")
STRICT = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


def _identifier(written: Any) -> str:
    if not isinstance(written, str) or not IDENTIFIER.fullmatch(written):
        raise ValueError(
            "write small letters, digits and _ beginning with a letter, at most 48 characters"
        )
    return written


def _model(written: Any) -> str:
    is_known = written in MODELS
    if not is_known and not (isinstance(written, str) and MODEL_OF_YOURS.fullmatch(written)):
        raise ValueError(
            f'write one of {", ".join(MODELS)}, or "module:name" of an estimator of yours'
        )
    return str(written)


def _class(written: Any) -> str:
    """A class as text: `1`, `1.0`, `"1"` and `true` are how sources write the same thing."""
    if isinstance(written, bool):
        return str(written).lower()
    if isinstance(written, float) and written.is_integer():
        written = int(written)
    if not isinstance(written, str | int | float):
        # pydantic reports only a ValueError as an error of the field
        raise ValueError("write a text, a number, true or false")  # noqa: TRY004
    return str(written).strip()


def _in_list(written: Any) -> Any:
    return [written] if isinstance(written, str) else written


Identifier = Annotated[str, BeforeValidator(_identifier)]
SourceName = Annotated[str, Field(strict=True, min_length=1, max_length=256)]
Class = Annotated[str, BeforeValidator(_class), Field(min_length=1, max_length=256)]
Duration = Annotated[int, BeforeValidator(parse_duration)]
MarginText = Annotated[Margin, BeforeValidator(parse_margin)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Model = Annotated[str, BeforeValidator(_model)]
SourcePlace = Annotated[SourceName, AfterValidator(check_place)]
Places = Annotated[tuple[SourcePlace, ...], BeforeValidator(_in_list), Field(min_length=1)]
Texts = Annotated[tuple[SourceName, ...], BeforeValidator(_in_list), Field(min_length=1)]


class UseCaseSection(BaseModel):
    """The use case's name and text, and the columns with metadata of a row."""

    model_config = STRICT

    name: Identifier
    version: Annotated[int, Field(strict=True, ge=1, le=9_999)] = 1
    task: TaskKind
    row_id: SourceName | None = None
    entity: SourceName | None = None
    time: SourceName | None = None
    no_time: StrictBool = False
    stake: Identifier | None = None


class LabelSection(BaseModel):
    """The label, and when it becomes known.

    Attributes:
        items: of a ranking, the declared columns with the ratings so far: "rating_*".
        columns: of a ranking, the columns of the source with the ratings that followed: "next_*",
            or a list in the order of the items. None: the labels come by /feedback.
    """

    model_config = STRICT

    column: SourceName | None = None
    positive: Class | None = None
    negative: Class | None = None
    classes: Annotated[tuple[Class, ...], Field(min_length=2, max_length=MAX_CLASSES)] | None = None
    items: SourceName | None = None
    columns: Texts | None = None
    delay: Duration = 0
    known_at: SourceName | None = None


class ColumnSection(BaseModel):
    """One column: a kind, or a table with more about it.

    Attributes:
        decimal: the decimal mark of this column's numbers, where it is not that of [numbers].
    """

    model_config = STRICT

    kind: Kind
    source: SourceName | None = Field(default=None, alias="from")
    min: Number | None = None
    max: Number | None = None
    decimal: Literal[".", ","] | None = None
    values: Annotated[tuple[Class, ...], Field(min_length=1, max_length=1_000)] | None = None
    slots: Literal[1, 2] | None = None
    parts: Annotated[tuple[MomentPart, ...], BeforeValidator(_in_list)] | None = Field(
        default=None, alias="as", min_length=1
    )
    default: float | StrictBool | str | None = None
    required: StrictBool | None = None
    description: str = ""


def _with_kind(written: Any) -> Any:
    return {"kind": written} if isinstance(written, str) else written


Columns = Mapping[Identifier, Annotated[ColumnSection, BeforeValidator(_with_kind)]]


class SourceSection(BaseModel):
    """The source of rows besides /predict: files, or a query on a database.

    Attributes:
        files: files and folders beside the declaration, Delta tables, or addresses in a bucket.
        database: the environment variable that holds the URL of the database of `sql`; a URL
            may carry a password, which has no place in a file.
    """

    model_config = STRICT

    files: Places | None = None
    sql: Annotated[str, Field(strict=True, min_length=1)] | None = None
    database: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] = "SOURCE_DATABASE_URL"


class TimeSection(BaseModel):
    """The format of the source's instants; see docs/importing.md."""

    model_config = STRICT

    zone: Zone | None = None
    unit: Literal["s", "ms", "us", "ns", "excel"] | None = None
    format: str | None = None
    day_first: StrictBool | None = None


class TrainSection(BaseModel):
    """The model to fit, and the length of its training history.

    Attributes:
        model: None: the model that suits the task.
        settings: what differs from the defaults of `model`.
        candidates: further models; the best on validation rows is taken.
        outlier: add a component that scores how unusual a row is.
    """

    model_config = STRICT

    model: Model | None = None
    settings: Mapping[str, StrictBool | int | float | str] = {}
    candidates: Annotated[tuple[Model, ...], Field(max_length=10)] = ()
    window: Duration | None = None
    outlier: StrictBool = False


class JudgeSection(BaseModel):
    """The requirements for a candidate's promotion."""

    model_config = STRICT

    metric: str | None = None
    margin: MarginText = Margin(0.02, is_relative=True)
    guards: Mapping[str, MarginText] = {}
    floors: Mapping[str, Number] = {}
    slices: tuple[Annotated[SliceRule, BeforeValidator(parse_slice)], ...] = ()
    rounds_per_year: Annotated[int, Field(strict=True, ge=1, le=100_000)] = 12
    held_out: Annotated[HeldOut, BeforeValidator(parse_held_out)] | None = None
    folds: Annotated[int, Field(strict=True, ge=2, le=20)] | None = None
    accepted: tuple[str, ...] = ()


class ServeSection(BaseModel):
    """The parts of an answer besides the prediction."""

    model_config = STRICT

    reasons: Annotated[int, Field(strict=True, ge=0, le=MOST_REASONS)] = 3


_HELD_OUT_WITHOUT_TIME = HeldOut(None, 0.2)
_HELD_OUT_WITH_TIME = HeldOut(60 * 86_400_000_000, None)


class DeclaredKeys(BaseModel):
    """All sections of a usecase.toml; the keys of each are right, and may contradict others."""

    model_config = STRICT

    use_case: UseCaseSection
    label: LabelSection
    columns: Columns = Field(min_length=1, max_length=2_000)
    source: SourceSection = SourceSection()
    csv: CsvRules = CsvRules()
    numbers: NumberRules = NumberRules()
    time: TimeSection = TimeSection()
    train: TrainSection = TrainSection()
    judge: JudgeSection = JudgeSection()
    serve: ServeSection = ServeSection()

    @property
    def items(self) -> tuple[str, ...]:
        """The columns of a ranking's items, in order."""
        pattern = self.label.items
        if pattern is None:
            return ()
        return tuple(name for name in self.columns if _matches(name, pattern))

    @property
    def item_names(self) -> tuple[str, ...]:
        """The names of the items: the part of each column's name that `*` stands for."""
        return tuple(_item_name(column, self.label.items or "") for column in self.items)

    @property
    def item_labels(self) -> tuple[str, ...]:
        """The columns of the source with the label of each item, in the order of the items."""
        written = self.label.columns or ()
        if len(written) == 1 and written[0].endswith("*"):
            return tuple(written[0][:-1] + name for name in self.item_names)
        return written

    @property
    def metric(self) -> str:
        return self.judge.metric or default_metric(self.use_case.task)

    @property
    def held_out(self) -> HeldOut:
        standard = _HELD_OUT_WITHOUT_TIME if self.use_case.no_time else _HELD_OUT_WITH_TIME
        return self.judge.held_out or standard


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _item_name(column: str, pattern: str) -> str:
    is_prefix = pattern.endswith("*")
    return (column[len(pattern) - 1 :] if is_prefix else "") or column
