"""Prediction tasks: a class, one of several, a number, a ranked list; pure, numpy only.

Both services need it: labels as they are stored, the answer's fields, what a canary compares.
"""

from shared.tasks.answer import answer_function, response_model
from shared.tasks.labels import LabelError, Support, encode_label, label_name, support_of
from shared.tasks.metrics import Margin
from shared.tasks.observed import (
    comparison_edges,
    comparison_value,
    comparison_values,
    label_values,
)
from shared.tasks.task import OUTLIER, Task, TaskKind

__all__ = [
    "OUTLIER",
    "LabelError",
    "Margin",
    "Support",
    "Task",
    "TaskKind",
    "answer_function",
    "comparison_edges",
    "comparison_value",
    "comparison_values",
    "encode_label",
    "label_name",
    "label_values",
    "response_model",
    "support_of",
]
