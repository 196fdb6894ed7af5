"""The data-quality gate; what it looks for belongs to the use case (`check_quality`)."""

GATE = "data_quality"
