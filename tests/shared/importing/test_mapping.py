"""A mapping that cannot work says why, before anything is read."""

from pathlib import Path

import pytest

from shared.importing.mapping import MappingError, read_mapping

ROOT = Path(__file__).parents[3]
WRONG_MAPPINGS = [
    ("[columns]\nuser_id = 'u'", "must name a source for transaction_id, event_time, amount"),
    ("[columns]\ncolour = 'c'", "there is no column 'colour' here; there are transaction_id"),
    ("[time]\nzone = 'Mars/Base'", "time.zone: write the name of a time zone"),
    ("[time]\nlabel_delay = 'soon'", "label_delay: write a number and s, m, h or d"),
    ("[surprise]\na = 1", "surprise: Extra inputs are not permitted"),
    ("[columns", "is not TOML"),
]


@pytest.mark.parametrize(("written", "told"), WRONG_MAPPINGS)
def test_a_wrong_mapping_says_what_is_wrong(tmp_path: Path, written: str, told: str) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text(written)
    with pytest.raises(MappingError, match=told):
        read_mapping(file)


def test_a_mapping_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="cannot read the mapping"):
        read_mapping(tmp_path / "gone.toml")


def test_the_examples_in_the_documentation_are_valid() -> None:
    examples = sorted((ROOT / "docs/examples").glob("*-mapping.toml"))
    assert len(examples) == 2
    for example in examples:
        assert read_mapping(example).columns["transaction_id"]
