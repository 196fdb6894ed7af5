"""Reasons of a declared use case: by declared columns, with values as the caller sent them.

A column that fills several places of the vector, such as an open category in two slots or several
parts of a moment, is one reason: contributions add up.
"""

from shared.clock import isoformat
from shared.rows.schema import Kind, Row, RowSchema, Value
from shared.rows.slots import slots_of
from shared.tasks import TaskKind
from shared.usecase.serving import FloatVector, ReasonRule, ServedModel


def reason_rule(schema: RowSchema, default: int) -> ReasonRule:
    """The rule of a schema; `default` reasons where a caller names no number."""
    places = {name: at for at, name in enumerate(schema.names)}
    width = schema.task.width

    def value(row: Row, name: str, _number: float | None) -> Value:
        written = row.values[places[name]]
        kind = schema.column(name).kind
        if written is None:
            return None
        if kind is Kind.MOMENT:
            return isoformat(int(written))
        # what comes back from the database is 0 or 1
        return bool(written) if kind is Kind.FLAG else written

    def target(scores: FloatVector, _model: ServedModel) -> int:
        """The answered class, where each class has a raw score."""
        return int(scores[:width].argmax()) if schema.task.kind is TaskKind.MULTICLASS else 0

    names = {slot.name: slot.column for slot in slots_of(schema)}
    return ReasonRule(default, names, value, target)  # type: ignore[arg-type]
