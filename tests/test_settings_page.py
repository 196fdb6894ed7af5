"""Settings and their documentation: one text, on the page and in `--help`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import scheduler.settings
from scripts import settings_page
from shared.errors import SettingsError
from shared.setting_docs import SettingText, described, help_text, setting_texts
from shared.settings import load
from shared.sizes import read_size

ROOT = Path(__file__).parent.parent
TEXTS = list(settings_page.documented())
UNITS = {"BYTES": "byte", "SECONDS": "second", "MS": "millisecond", "DAYS": "day"}


def test_the_page_is_the_one_that_the_code_generates() -> None:
    assert settings_page.main(["--check"]) == 0, "run python -m scripts.settings_page"


def test_every_variable_that_is_read_is_on_the_page_and_the_page_names_no_other() -> None:
    read = {name.upper() for kind in settings_page.READERS.values() for name in kind.model_fields}
    page = settings_page.PAGE.read_text()
    named = set(re.findall(r"^\| `([A-Z][A-Z0-9_]+)`", page, re.MULTILINE))
    assert (read - named, named - read) == (set(), set())


def test_every_setting_has_one_description_in_every_service() -> None:
    names = [text.name for text in TEXTS]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.name)
def test_a_description_is_a_sentence_with_the_unit_of_its_setting(text: SettingText) -> None:
    assert re.fullmatch(r"[A-Z`].*\.", text.description)
    unit = UNITS.get(text.name.rpartition("_")[2], "")
    assert unit in text.description.lower() or "MiB" in text.description


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.name)
def test_a_setting_that_takes_zero_or_nothing_says_what_that_means(text: SettingText) -> None:
    if text.default == "none":
        assert re.search(r"None:|Empty:|Comma-separated", text.description)


def test_the_page_keeps_what_people_wrote_around_the_tables(tmp_path: Path) -> None:
    page = tmp_path / "settings.md"
    page.write_text(f"before\n{settings_page.BEGIN}\nobsolete\n{settings_page.END}\nafter\n")
    assert settings_page.main(["--check", "--page", str(page)]) == 1
    assert settings_page.main(["--page", str(page)]) == 0
    assert settings_page.main(["--check", "--page", str(page)]) == 0
    written = page.read_text()
    assert written.startswith("before\n")
    assert written.endswith("\nafter\n")
    assert "\nobsolete\n" not in written
    with pytest.raises(ValueError, match="put them back"):
        settings_page.with_tables("no marks")


@pytest.mark.parametrize("service", ["api.main", "scheduler.main", "console.main"])
def test_the_help_of_a_service_lists_its_settings_with_the_same_words(service: str) -> None:
    command = [sys.executable, "-m", service, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "DATABASE_URL (sqlite:///var/understudy.db)" in done.stdout
    shown = " ".join(done.stdout.split())
    for text in TEXTS:
        if text.name in {"KEYS_DIR", "LOG_FILE_MAX_BYTES"}:
            assert text.description in shown


def test_help_shows_units_bounds_and_readable_sizes() -> None:
    shown = help_text(scheduler.settings.SchedulerSettings)
    assert "CONFIG_POLL_SECONDS (3 s; above 0 s, at most 8 s)" in shown
    assert "WORK_MAX_BYTES (4294967296 = 4 GiB)" in shown
    assert "ROLLOUT (immediate; immediate, shadow, canary)" in shown


def test_each_setting_belongs_to_a_group() -> None:
    for kind in settings_page.READERS.values():
        listed = {text.name.lower() for text in setting_texts(kind)}
        assert listed == set(kind.model_fields)
        assert all(described(kind, name) for name in listed)


SIZES = [text.name for text in TEXTS if "_BYTES" in text.name]


@pytest.mark.parametrize("name", SIZES)
def test_every_size_may_be_written_as_the_page_writes_its_default(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [(kind, field)] = {
        name.lower(): (kind, kind.model_fields[name.lower()])
        for kind in settings_page.READERS.values()
        if name.lower() in kind.model_fields
    }.values()
    row = re.search(
        rf"^\| `{name}` \| `(\d+)` = ([^|]*?) \|", settings_page.PAGE.read_text(), re.MULTILINE
    )
    assert row is not None
    for written in (row[1], row[2], row[2].replace(" ", "").lower()):
        monkeypatch.setenv(name, written)
        assert getattr(load(kind), name.lower()) == field.default
    monkeypatch.setenv(name, "256 elephants")
    with pytest.raises(
        SettingsError, match=rf"{name}: '256 elephants' is not a size: write .*256 MiB"
    ):
        load(kind)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1_024", 1024), ("256MiB", 2**28), ("1.5 gb", 1_500_000_000), ("8 MiB/s", 2**23)],
)
def test_a_size_has_a_unit_or_is_bytes(text: str, size: int) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "256M", "1e9", "0.3 KiB", "MiB", "1 MiB 2", "\u0663"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write bytes"):
        read_size(text)
