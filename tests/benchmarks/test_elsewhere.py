"""`make bench-elsewhere`: figures of any imported file, or a sentence that says what to change."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks import elsewhere

DAY = 86_400
MAPPING = """
[columns]
transaction_id = "id"
user_id = "card"
event_time = "at"
amount = "paid"
merchant_id = "shop"
merchant_category = "kind"
label = "stolen"

[time]
label_delay = "2d"
"""


def rows(count: int = 1_500, days: int = 40) -> pl.DataFrame:
    """Payments of which those for jewels are stolen more often than not."""
    rng = np.random.default_rng(3)
    kind = rng.choice(["food", "fuel", "jewels"], count, p=[0.6, 0.34, 0.06])
    return pl.DataFrame(
        {
            "id": [f"x{number}" for number in range(count)],
            "card": [f"c{number}" for number in rng.integers(0, 30, count)],
            "at": np.sort(rng.integers(1_577_836_800, 1_577_836_800 + days * DAY, count)),
            "paid": rng.gamma(2.0, 20.0, count).round(2),
            "shop": [f"s{number}" for number in rng.integers(0, 40, count)],
            "kind": kind,
            "stolen": ((kind == "jewels") & (rng.random(count) < 0.6)).astype(int),
        }
    ).with_columns(pl.from_epoch("at", time_unit="s").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))


@pytest.fixture
def given(tmp_path: Path) -> Callable[..., list[str]]:
    data, mapping = tmp_path / "rows.csv", tmp_path / "mapping.toml"
    rows().write_csv(data)
    mapping.write_text(MAPPING, encoding="utf-8")

    def arguments(**changes: str) -> list[str]:
        asked = {
            "data": str(data),
            "mapping": str(mapping),
            "train-before": "2020-01-26",
            "test-from": "2020-01-29",
        } | {name.replace("_", "-"): value for name, value in changes.items()}
        return [part for name, value in asked.items() for part in (f"--{name}", value)]

    return arguments


@pytest.mark.slow
def test_one_line_with_the_figures_of_the_recipe_and_of_plain_boosting(
    given: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        elsewhere.main([*given(), "--seeds", "1"])
    line = json.loads(capsys.readouterr().out)
    figures = line["figures"]
    assert line["name"] == "elsewhere"
    assert figures["rows"] == 1_500
    assert figures["train_rows"] + figures["test_rows"] < 1_500
    for name in ("ap", "ap_plain"):
        assert 0.3 < figures[name] <= 1.0
    for name in ("auc", "auc_plain"):
        assert 0.9 < figures[name] <= 1.0
    assert figures["ap_over_plain"] == pytest.approx(figures["ap"] - figures["ap_plain"], abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"data": ""}, "DATA is missing: make bench-elsewhere DATA=FILE"),
        ({"data": "nowhere.csv"}, "DATA: there is no nowhere.csv"),
        ({"mapping": "nowhere.toml"}, "nowhere.toml"),
        ({"train_before": "June"}, "TRAIN_BEFORE='June' is not a date"),
        ({"test_from": "2020-01-01"}, "TEST_FROM lies before TRAIN_BEFORE"),
        ({"train_before": "2019-01-01", "test_from": "2019-01-08"}, "TRAIN_BEFORE: 0 labelled"),
        ({"test_from": "2021-01-01"}, "the rows are of 2020-01-01 to 2020-02-09"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_sentence(
    given: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    says: str,
) -> None:
    with pytest.raises(SystemExit) as left:
        elsewhere.main(given(**changes))
    assert left.value.code == 2
    told = capsys.readouterr()
    assert says in told.err
    assert told.out == ""


def test_labels_that_come_too_late_ask_for_more_days_between(
    given: Callable[..., list[str]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    slow = tmp_path / "slow.toml"
    slow.write_text(MAPPING.replace('"2d"', '"60d"'), encoding="utf-8")
    with pytest.raises(SystemExit):
        elsewhere.main(given(mapping=str(slow)))
    assert "leave more days between" in capsys.readouterr().err
