"""No column of a use case is named outside its folder, but for what is still to move.

Every entry below counts its files: one more file that names a column fails, and so does one less,
so that the list shrinks with the work. Nothing may be added to it; move the code instead.
"""

from typing import NamedTuple

import pytest

from tests.support.use_case_words import column_names, columns_said, files_that_say

PACKAGES = ("api", "learning", "native", "scheduler", "shared")
HOUSE_WORDS = {
    "row_id": "the id of a row, in tables and requests of every declared use case",
    "event_time": "the instant of a row, in the tables of every use case",
    "as_of": "the instant whose knowledge a run uses",
}
"""Names of our own that a use case happens to use, too."""

IDS = frozenset({"transaction_id", "user_id"})
PLACE = frozenset({"lat", "lon", "home_lat", "home_lon"})
PARTIES = IDS | {"merchant_id", "device_id"}
CARD = PARTIES | PLACE | {
    "amount", "currency", "transaction_type", "merchant_category", "channel", "country",
    "utc_offset_min",
}  # fmt: skip


class ToMove(NamedTuple):
    """What a package still names, as of 27 November 2026.

    Attributes:
        files: how many of its files name any of the columns.
    """

    package: str
    columns: frozenset[str]
    files: int
    reason: str


STILL_TO_MOVE = (
    ToMove("api/", IDS, 10, "names for the id and the entity of any row"),
    ToMove("shared/contracts/", IDS, 1, "the published field of /feedback"),
    ToMove("shared/features/", PARTIES, 5, "windows of earlier rows: go to usecases/fraud"),
    ToMove("shared/importing/", CARD, 6, "import by mapping: goes to usecases/fraud"),
    ToMove("shared/rows/", IDS, 2, "`Row` answers to the API's names"),
    ToMove("shared/tables/migrations/", CARD, 5, "history of databases that exist: stays"),
    ToMove("shared/tables/", CARD, 8, "the two transaction logs and their tiles: go to fraud"),
    ToMove("shared/tasks/metrics.py", frozenset({"amount"}), 1, "the word of English"),
    ToMove("shared/transaction.py", CARD, 1, "the row of fraud: goes with its tables"),
    ToMove("shared/usecase/", IDS, 1, "the seam's names for the id of any row"),
)


def entry_of(path: str) -> ToMove | None:
    """The first entry whose package holds the file."""
    return next((one for one in STILL_TO_MOVE if path.startswith(one.package)), None)


@pytest.fixture(scope="module")
def said() -> dict[str, set[str]]:
    return files_that_say(PACKAGES, set(column_names()) - set(HOUSE_WORDS))


def test_no_package_names_a_column_of_a_use_case_that_is_not_on_the_list(
    said: dict[str, set[str]],
) -> None:
    new = {
        path: sorted(columns - (entry.columns if entry else set()))
        for path, columns in said.items()
        if (entry := entry_of(path)) is None or columns - entry.columns
    }
    assert new == {}


def test_what_is_still_to_move_becomes_less(said: dict[str, set[str]]) -> None:
    counted = {
        entry.package: sum(entry_of(path) is entry for path in said) for entry in STILL_TO_MOVE
    }
    assert counted == {entry.package: entry.files for entry in STILL_TO_MOVE}


def test_every_use_case_gives_its_columns_to_the_list_of_forbidden_names() -> None:
    names = column_names()
    assert {"fraud", "churn", "deliveries", "tickets"} <= set(names.values())
    assert {"merchant_id", "monthly_charges", "minutes_to_door", "requester_id"} <= set(names)


@pytest.mark.parametrize(
    "source",
    [
        "tenure_months = 3",
        "row.tenure_months",
        "f(tenure_months=1)",
        "def f(tenure_months): ...",
        "x = 'tenure_months'",
        "query = 'SELECT tenure_months FROM rows'",
        "text = f'{x} tenure_months'",
        "class A:\n    tenure_months: int",
        "import a as tenure_months",
        "match x:\n    case {'tenure_months': y}: ...",
    ],
)
def test_a_column_that_is_named_in_code_is_found(source: str) -> None:
    assert columns_said(source, {"tenure_months", "team"}) == {"tenure_months"}


@pytest.mark.parametrize(
    "source",
    ['"""Of tenure_months."""', "# tenure_months", "x = 'the team of this ticket'", "teams = 1"],
)
def test_what_is_written_for_people_is_not_code(source: str) -> None:
    assert columns_said(source, {"tenure_months", "team"}) == set()
