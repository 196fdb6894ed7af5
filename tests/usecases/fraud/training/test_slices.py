"""The parts of the traffic on which a candidate must do no harm."""

import numpy as np
import polars as pl

from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.training.split import MIN_EACH, slices_of

ENOUGH = 2 * MIN_EACH


def rows(amounts: list[float], types: list[str], labels: list[int]) -> pl.DataFrame:
    return pl.DataFrame({"amount": amounts, "transaction_type": types, "label": labels})


def features(days_seen: list[float]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    matrix = np.zeros((len(days_seen), len(FEATURE_SET.names)), dtype=np.float32)
    matrix[:, FEATURE_SET.names.index("days_since_first_seen")] = days_seen
    return matrix


def half(count: int) -> list[int]:
    """Every other row is positive."""
    return [index % 2 for index in range(count)]


def test_amount_bands_and_types_each_cover_every_row_once() -> None:
    amounts = [float(value) for value in range(1, 201)]
    types = ["card"] * 120 + ["transfer"] * 80

    found = slices_of(rows(amounts, types, half(200)), features([99.0] * 200))

    bands = [mask for name, mask in found.items() if name.startswith("amount")]
    kinds = [mask for name, mask in found.items() if name.startswith("type")]
    assert len(bands) == 4
    assert np.sum(bands, axis=0).tolist() == [1] * 200
    assert np.sum(kinds, axis=0).tolist() == [1] * 200


def test_a_band_without_positives_is_joined_with_the_next_one() -> None:
    amounts = [float(value) for value in range(1, 201)]
    labels = [0] * 100 + half(100)

    found = slices_of(rows(amounts, ["card"] * 200, labels), features([99.0] * 200))

    assert [name for name in found if name.startswith("amount")] == [
        "amount up to 150.25",
        "amount over 150.25",
    ]


def test_a_type_without_positives_is_shown_among_the_others() -> None:
    types = ["card"] * 60 + ["transfer"] * 60 + ["refund"] * 40 + ["cash"] * 40
    labels = [*half(120), *[0] * 40, *half(40)]

    found = slices_of(rows([1.0] * 200, types, labels), features([99.0] * 200))

    kinds = {name: int(mask.sum()) for name, mask in found.items() if "type" in name}
    assert kinds == {"type card": 60, "type transfer": 60, "other types": 80}


def test_rare_types_are_shown_together() -> None:
    types = [name for name in "abcdefgh" for _ in range(ENOUGH)]

    found = slices_of(
        rows([1.0] * 8 * ENOUGH, types, half(8 * ENOUGH)), features([9.0] * 8 * ENOUGH)
    )

    assert int(found["other types"].sum()) == 2 * ENOUGH


def test_a_customer_never_seen_before_is_new() -> None:
    seen = [np.nan, *[2.0] * ENOUGH, *[90.0] * ENOUGH]

    found = slices_of(rows([1.0] * 41, ["card"] * 41, half(41)), features(seen))

    assert found["customer first seen within 30 days"].tolist() == [True] * 21 + [False] * 20


def test_where_nobody_is_new_the_newest_stand_for_them() -> None:
    seen = [100.0] * ENOUGH + [400.0] * ENOUGH

    found = slices_of(rows([1.0] * 40, ["card"] * 40, half(40)), features(seen))

    assert found["customer first seen within 120 days"].tolist() == [True] * 20 + [False] * 20


def test_customers_who_all_came_together_make_no_slice_of_the_newest() -> None:
    found = slices_of(rows([1.0] * 40, ["card"] * 40, half(40)), features([100.0] * 40))

    assert not [name for name in found if name.startswith("customer")]


def test_rows_that_are_all_alike_make_no_slice_of_everything_by_type() -> None:
    found = slices_of(rows([5.0] * 40, ["card"] * 40, half(40)), features([90.0] * 40))

    assert not [name for name in found if name.startswith("type")]


def test_every_slice_of_any_rows_can_be_measured() -> None:
    rng = np.random.default_rng(0)
    for positives in (0, 5, 12, 60):
        labels = (rng.permutation(3_000) < positives).astype(int).tolist()
        types = rng.choice(["a", "b", "c", "d"], 3_000, p=[0.9, 0.05, 0.04, 0.01]).tolist()
        amounts = rng.gamma(2.0, 30.0, 3_000).tolist()
        found = slices_of(rows(amounts, types, labels), features(rng.gamma(2, 40, 3_000).tolist()))
        assert bool(found) is (positives >= MIN_EACH)
        for mask in found.values():
            assert MIN_EACH <= np.asarray(labels)[mask].sum() <= mask.sum() - MIN_EACH
