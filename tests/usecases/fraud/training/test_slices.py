"""The parts of the traffic that a report shows."""

import numpy as np
import polars as pl

from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.training.slices import slices_of


def rows(amounts: list[float], types: list[str]) -> pl.DataFrame:
    return pl.DataFrame({"amount": amounts, "transaction_type": types})


def features(days_seen: list[float]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    matrix = np.zeros((len(days_seen), len(FEATURE_SET.names)), dtype=np.float32)
    matrix[:, FEATURE_SET.names.index("days_since_first_seen")] = days_seen
    return matrix


def test_amount_bands_and_types_each_cover_every_row_once() -> None:
    amounts = [float(value) for value in range(1, 101)]
    types = ["card"] * 60 + ["transfer"] * 40

    found = slices_of(rows(amounts, types), features([99.0] * 100))

    bands = [mask for name, mask in found.items() if name.startswith("amount")]
    kinds = [mask for name, mask in found.items() if name.startswith("type")]
    assert len(bands) == 4
    assert np.sum(bands, axis=0).tolist() == [1] * 100
    assert np.sum(kinds, axis=0).tolist() == [1] * 100


def test_rare_types_are_shown_together() -> None:
    types = [name for name in "abcdefgh" for _ in range(2)]

    found = slices_of(rows([1.0] * 16, types), features([99.0] * 16))

    assert int(found["other types"].sum()) == 4


def test_a_customer_never_seen_before_is_new() -> None:
    found = slices_of(rows([1.0] * 3, ["card"] * 3), features([np.nan, 2.0, 90.0]))

    assert found["customer first seen within 30 days"].tolist() == [True, True, False]


def test_rows_that_are_all_alike_make_no_slice_of_everything_by_type() -> None:
    found = slices_of(rows([5.0] * 3, ["card"] * 3), features([90.0] * 3))

    assert not [name for name in found if name.startswith("type")]
