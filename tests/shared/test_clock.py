from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import isoformat, to_datetime, to_micros

INSTANTS = st.integers(-(10**15), 4 * 10**15)


@given(INSTANTS)
def test_an_instant_survives_every_conversion_to_the_microsecond(instant_us: int) -> None:
    assert to_micros(to_datetime(instant_us)) == instant_us
    assert to_micros(datetime.fromisoformat(isoformat(instant_us))) == instant_us


def test_a_time_without_a_zone_names_no_instant() -> None:
    with pytest.raises(ValueError, match="zone"):
        to_micros(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
