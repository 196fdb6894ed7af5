"""A part is checked once: versions, the switch, its probe; what it lacks is said once."""

from collections.abc import Mapping

import pytest
import structlog

from native.catalogue import PARTS
from native.parts import Part, unknown_names


class Versions:
    """What is installed, and how often somebody asked."""

    def __init__(self, installed: Mapping[str, str]) -> None:
        self._installed = installed
        self.asked = 0

    def __call__(self, package: str) -> str:
        self.asked += 1
        return self._installed.get(package, "none")


def part(
    found: str, switch: str = "", probe: str | None = None, versions: Versions | None = None
) -> Part:
    return Part(
        "sample",
        without="slower",
        tested={"library": ("1.2", "1.4")},
        probe=lambda: probe,
        versions=versions or Versions({"library": found}),
        switched_off=lambda: switch,
    )


@pytest.mark.parametrize("found", ["1.2", "1.2.0", "1.4.17"])
def test_a_tested_version_is_used_whatever_its_patch(found: str) -> None:
    assert part(found).in_use


@pytest.mark.parametrize("found", ["1.3.0", "1.20", "2.1.2", "none"])
def test_another_version_is_not_used(found: str) -> None:
    untested = part(found)
    assert not untested.in_use
    assert untested.reason == f"library {found} is untested (tested: 1.2, 1.4)"


@pytest.mark.parametrize("switch", ["sample", "all", "other, sample"])
def test_the_switch_turns_a_part_off(switch: str) -> None:
    assert not part("1.2", switch).in_use
    assert part("1.2", "other").in_use


def test_what_the_probe_objects_to_is_the_reason() -> None:
    broken = part("1.2", probe="no such member")
    assert not broken.in_use
    assert broken.reason == "no such member"


def test_the_check_is_made_once_and_said_once() -> None:
    versions = Versions({"library": "9"})
    untested = part("", versions=versions)
    with structlog.testing.capture_logs() as logs:
        assert [untested.in_use for _ in range(3)] == [False] * 3
        untested.fall_back("later")
    assert versions.asked == 1
    assert [(line["event"], line["effect"]) for line in logs] == [
        ("native_part_not_in_use", "slower")
    ]


def test_a_part_that_fails_where_it_is_used_is_not_used_again() -> None:
    failing = part("1.2")
    states = [failing.in_use]
    with structlog.testing.capture_logs() as logs:
        failing.fall_back("not in WAL mode")
    assert [*states, failing.in_use] == [True, False]
    assert [line["reason"] for line in logs] == ["not in WAL mode"]


def test_a_part_that_was_not_needed_has_no_state() -> None:
    assert not part("1.2").was_checked


def test_names_that_no_part_has_are_found() -> None:
    known = [each.name for each in PARTS]
    assert unknown_names("compile-cache, all,", known) == []
    assert unknown_names("compile-cash", known) == ["compile-cash"]
