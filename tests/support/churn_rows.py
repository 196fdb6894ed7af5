"""Rows of a declared use case."""

from shared.rows.schema import Column, Kind, Roles, RowSchema
from shared.tasks import Task

COLUMNS = (
    Column("charge", Kind.NUMBER, "charge"),
    Column("plan", Kind.CATEGORY, "plan"),
    Column("fibre", Kind.FLAG, "fibre", required=False),
    Column("called", Kind.MOMENT, "called", required=False),
)


def churn(*columns: Column, version: int = 1, task: Task | None = None) -> RowSchema:
    roles = Roles(label="churned", entity="customer", time="as_of")
    return RowSchema("churn", version, task or Task.binary("yes", "no"), roles, columns or COLUMNS)
