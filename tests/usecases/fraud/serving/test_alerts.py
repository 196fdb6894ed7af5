"""Alerts of many rows at once are what is answered row by row."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.usecase.serving import ServedModel
from usecases.fraud.judgement import Decision, alerts, judge

COMPONENTS = ("classifier", "isolation_forest", "autoencoder")
score = st.floats(width=32) | st.sampled_from((0.0, 0.1, 0.5, 0.9, 1.0))
threshold = st.floats(-1.0, 2.0) | st.sampled_from((0.1, 0.5, 0.9))


@given(
    st.lists(st.tuples(score, score, score), min_size=1, max_size=20),
    st.dictionaries(st.sampled_from(("review", "block", *COMPONENTS[1:])), threshold),
    st.integers(1, 3),
)
def test_a_row_is_an_alert_exactly_where_it_would_not_be_approved(
    rows: list[tuple[float, float, float]], thresholds: dict[str, float], components: int
) -> None:
    scores = np.array(rows, dtype=np.float32)[:, :components]
    model = ServedModel("1.0.0", COMPONENTS[:components], thresholds)
    one_by_one = [judge(row, model).decision is not Decision.APPROVE for row in scores]
    assert alerts(scores, model.components, thresholds).tolist() == one_by_one
