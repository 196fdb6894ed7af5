"""The data-quality gates; what they look for belongs to the use case.

`check_quality` sees the rows, `check_features` what was made of them.
"""

GATE = "data_quality"
FEATURE_GATE = "feature_quality"
