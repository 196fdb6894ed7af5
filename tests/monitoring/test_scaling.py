"""`make bench-rollback --scale`: durations of the shipped files are scaled, nothing else is."""

import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.promtool import MONITORING, run, tool
from understudy.rehearsal.monitoring import scaled

FILES = ("prometheus.yml", "rules.yml", "alertmanager.yml")


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("        for: 30s", "        for: 3000ms"),
        ("  scrape_interval: 15s", "  scrape_interval: 1500ms"),
        ("rate(x_total[2m])", "rate(x_total[12000ms])"),
        ("x offset 1d and y", "x offset 8640000ms and y"),
        ("group_wait: 0s", "group_wait: 0s"),
        ("  - {for: 500ms, a: 1}", "  - {for: 50ms, a: 1}"),
        ("        annotations: {summary: \"for 15m or 5 %\"}", None),
        ("# waits for 30s", None),
        ("expr: understudy_runs > 900", None),
        ("- record: understudy:p:increase2m", None),
    ],
)  # fmt: skip
def test_durations_are_scaled_and_texts_stay(line: str, wanted: str | None) -> None:
    assert scaled(line, 0.1) == (line if wanted is None else wanted)


@given(st.integers(1, 999), st.sampled_from(["ms", "s", "m", "h", "d"]), st.floats(0.001, 10))
def test_a_duration_never_becomes_none(number: int, unit: str, factor: float) -> None:
    text = scaled(f"for: {number}{unit}", factor)
    found = re.fullmatch(r"for: (\d+)(ms|s|m|h|d)", text)
    assert found is not None
    assert int(found[1]) >= 1


@pytest.mark.parametrize("name", FILES)
def test_a_factor_of_one_changes_nothing(name: str) -> None:
    text = (MONITORING / name).read_text(encoding="utf-8")
    assert scaled(text, 1) == text


def test_the_scaled_files_are_still_good_ones(tmp_path: Path) -> None:
    for name in FILES:
        text = (MONITORING / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(scaled(text, 0.05), encoding="utf-8")
    run(tool("promtool"), "check", "config", str(tmp_path / "prometheus.yml"))
    run(tool("amtool"), "check-config", str(tmp_path / "alertmanager.yml"))
    assert shutil.which("promtool")
