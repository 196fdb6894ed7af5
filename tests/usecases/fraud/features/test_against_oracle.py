"""Batch features equal the slow oracle on small histories built to hit every edge."""

from datetime import timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.transaction import Label, Transaction
from tests.usecases.fraud.features.frames import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    START,
    frame,
    transaction,
)
from tests.usecases.fraud.features.oracle import features
from usecases.fraud.features.batch import compute
from usecases.fraud.features.catalogue import FEATURE_SET, MAX_PRIOR_ROWS

STEPS = (0, 1, SECOND, 10 * MINUTE, HOUR, 5 * HOUR, DAY, 7 * DAY, 30 * DAY)
DELAYS = (0, 0, 0, SECOND, 3 * MINUTE, 2 * HOUR, 3 * DAY, 40 * DAY)
PLACES = ((None, None), (52.52, 13.405), (52.5201, 13.4051), (-33.8, 151.2), (0.0, None))


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Transaction], list[Label]]:
    """Late rows, rows of one instant, and steps that end exactly on a window's edge."""
    rows: list[Transaction] = []
    labels: list[Label] = []
    t = START
    for number in draw(st.permutations(range(draw(st.integers(1, 14))))):
        t += draw(st.sampled_from(STEPS))
        rows.append(draw(_row(number, t)))
        known = draw(st.sampled_from((None, 0, DAY, 7 * DAY, 20 * DAY)))
        if known is not None:
            label = draw(st.integers(0, 1))
            labels.append(Label(rows[-1].transaction_id, label, t + known, "chargeback"))
    return draw(st.permutations(rows)), labels


@st.composite
def _row(draw: st.DrawFn, number: int, t: int) -> Transaction:
    lat, lon = draw(st.sampled_from(PLACES))
    home_lat, home_lon = draw(st.sampled_from(PLACES))
    return transaction(
        number,
        t,
        ingested_at_us=t + draw(st.sampled_from(DELAYS)),
        user_id=draw(st.sampled_from(("ada", "ada", "bob"))),
        merchant_id=draw(st.sampled_from(("shop", "shop", "bar", "kiosk"))),
        amount=draw(st.sampled_from((0.0, 0.1, 10.0, 12.34, 99.99, 2500.0))),
        merchant_category=draw(st.sampled_from((None, "food", "travel"))),
        country=draw(st.sampled_from((None, "DE", "FR"))),
        device_id=draw(st.sampled_from((None, "DE", "phone"))),
        utc_offset_min=draw(st.sampled_from((None, 0, -570, 60))),
        lat=lat,
        lon=lon,
        home_lat=home_lat,
        home_lon=home_lon,
    )


@settings(max_examples=150, deadline=timedelta(seconds=30))
@given(histories(), st.sampled_from((1, 2, 3, 5, MAX_PRIOR_ROWS)))
def test_batch_features_equal_the_definitions(
    history: tuple[list[Transaction], list[Label]], most: int
) -> None:
    rows, labels = history
    by_id = {label.transaction_id: label for label in labels}
    told = [features(row, rows, by_id, most) for row in rows]
    expected = [[each[name] for name in FEATURE_SET.names] for each in told]
    found = compute(frame(rows, labels), max_prior_rows=most)
    np.testing.assert_allclose(found, np.array(expected), rtol=2e-6, atol=1e-5)
