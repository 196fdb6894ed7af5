"""The keys of usecase.toml, each checked by itself; how they agree is checked by `coherence`."""

from pydantic import BaseModel, Field

from shared.importing.mapping import CsvRules, NumberRules
from shared.rows.metrics import default_metric
from shared.rows.quantities import HeldOut
from shared.rows.sections import (
    STRICT,
    Columns,
    JudgeSection,
    LabelSection,
    ServeSection,
    SourceSection,
    TimeSection,
    TrainSection,
    UseCaseSection,
)

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
