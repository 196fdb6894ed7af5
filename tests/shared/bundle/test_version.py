import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bundle.version import Version

PART = st.integers(0, 999_999_999)
VERSIONS = st.builds(Version, PART, PART, PART)


@given(VERSIONS)
def test_a_version_reads_back_as_itself(version: Version) -> None:
    assert Version.parse(str(version)) == version


@given(VERSIONS)
def test_every_step_is_newer_than_the_one_before(version: Version) -> None:
    assert version < version.next_patch() < version.next_minor()


@pytest.mark.parametrize(
    "text",
    ["", "1", "1.0", "1.0.0.0", "01.0.0", "1.0.0\n", " 1.0.0", "../../x", "1.0.0%2e", "v1.0.0",
     "1.0.-1", "\u0661.0.0", "1" * 1_000_000],
)  # fmt: skip
def test_anything_else_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="not a version"):
        Version.parse(text)
