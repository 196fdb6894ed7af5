"""The manifest: a bundle's metadata, and the digest of every file it holds."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat

from shared.bundle.version import Version

FORMAT_VERSION = 1

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Flavour = Literal["onnx", "cloudpickle"]
Name = Annotated[str, Field(min_length=1, max_length=128)]


def _is_version(text: str) -> str:
    Version.parse(text)
    return text


VersionText = Annotated[str, AfterValidator(_is_version)]


class _Frozen(BaseModel):
    # NaN metrics are written as null: JSON has no NaN
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class TensorSpec(_Frozen):
    """One tensor of the served graph; -1 in the shape is the number of rows."""

    name: Name
    dtype: Name
    shape: tuple[int, ...]


class TrainingData(_Frozen):
    """The rows that the model learned from."""

    rows: int = Field(ge=0)
    positives: int = Field(ge=0)
    window_start: AwareDatetime
    window_end: AwareDatetime
    sha256: Sha256


class Manifest(_Frozen):
    """A bundle's metadata; `files` maps every other file of the bundle to its sha256.

    `flavour` is the model's format: a graph, or a pickle that needs ALLOW_PICKLE_MODELS.
    """

    format_version: int = FORMAT_VERSION
    model_name: Name
    version: VersionText
    created_at: AwareDatetime
    use_case: Name
    frameworks: dict[str, str]
    python_version: str
    flavour: Flavour = "onnx"
    components: tuple[Name, ...] = Field(min_length=1)
    feature_names: tuple[Name, ...] = Field(min_length=1)
    feature_set_version: Name
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    input_schema: dict[str, Any] = Field(default_factory=dict)
    thresholds: dict[str, FiniteFloat]
    hyperparameters: dict[str, Any]
    metrics: dict[str, FiniteFloat | None]
    metric_intervals: dict[str, tuple[FiniteFloat, FiniteFloat]] = Field(default_factory=dict)
    training_data: TrainingData
    parent_version: VersionText | None = None
    description: str = Field(max_length=10_000)
    files: dict[str, Sha256] = Field(default_factory=dict)

    @property
    def parsed_version(self) -> Version:
        return Version.parse(self.version)


def served_signature(
    feature_count: int, component_count: int
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """The inputs and outputs every served graph has: `features` -> `scores`, float32."""
    return (
        (TensorSpec(name="features", dtype="float32", shape=(-1, feature_count)),),
        (TensorSpec(name="scores", dtype="float32", shape=(-1, component_count)),),
    )
