"""The policy file is strict: a typo is an error that names the key."""

from pathlib import Path

import pytest

import usecases
from shared.errors import SettingsError
from usecases.fraud.training.policy import POLICY_FILE, read_policy

SHIPPED = POLICY_FILE.read_text(encoding="utf-8")


def test_the_shipped_policy_is_valid() -> None:
    policy = read_policy()
    assert policy.promotion.name == "fraud-4"
    assert policy.promotion.primary_metric in {"auc", "average_precision"}
    assert policy.promotion.first_model_min["auc"] > 0.5
    assert policy.promotion.allow_unscorable_champion is False
    assert usecases.promotion_policy("fraud") == policy.promotion
    assert usecases.promotion_policy("nothing") is None


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("yearly_alpha = 0.05", "yearly_alfa = 0.05", "yearly_alpha is missing"),
        ("held_out_days = 14.0", "held_out_day = 14.0", "held_out_day"),
        ("min_rows = 1000", 'min_rows = "many"', "min_rows"),
        ("review_share = 0.01", "review_share = 1.5", "review_share"),
        ("[quality]", "[quality", "policy"),
        ("margin = 0.01", 'margin = "wide"', "promotion.margin = 'wide' .* is not a margin"),
        ("margin = 0.01", "margn = 0.01", "promotion.margn is not a setting: remove it"),
        ('refresh = "non_inferiority"', 'refresh = "hope"', "should be 'superiority' or"),
        ('baseline = "plain"', 'baseline = "plane"', "names 'plane' as its baseline"),
        ("parts = 3", "parts = 9", "classifier.parts = 9"),
        ("newest_share = 0.5", "newest = 0.5", "classifier.candidates.recent.newest_share is miss"),
        ("forest_share = 0.6", "forest_share = 0.0", "needs a forest exactly where"),
        ("cost = 0.0", "f1 = 0.1", "promotion.guard_metrics.f1"),
    ],
)
def test_a_policy_that_is_wrong_names_the_setting(
    tmp_path: Path, old: str, new: str, named: str
) -> None:
    assert old in SHIPPED
    path = tmp_path / "policy.toml"
    path.write_text(SHIPPED.replace(old, new), encoding="utf-8")
    with pytest.raises(SettingsError, match=named):
        read_policy(path)


def test_an_absent_policy_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.toml"):
        read_policy(tmp_path / "gone.toml")
