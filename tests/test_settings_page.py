"""docs/operations/settings.md names every variable, and none that nobody reads."""

import re
from pathlib import Path

import api.settings
import scheduler.settings
import understudy.settings

PAGE = (Path(__file__).parent.parent / "docs" / "operations" / "settings.md").read_text()
READ = {
    name.upper()
    for settings in (
        api.settings.Settings,
        scheduler.settings.Settings,
        understudy.settings.Settings,
    )
    for name in settings.model_fields
}


def test_every_variable_that_is_read_is_on_the_page_and_the_page_names_no_other() -> None:
    named = set(re.findall(r"`([A-Z][A-Z0-9_]{3,})`", PAGE))
    assert (READ - named, named - READ) == (set(), set())
