"""Screen 6, Decision: why was this row decided so?"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from console.screen import Params, Reading, Row, Screen
from shared.contracts.decisions import DecisionView


@dataclass(frozen=True, slots=True)
class DecisionPage:
    """One decision with all it rests on.

    Attributes:
        needs_login: a decision is about a person, so it is shown to logged-in people only.
    """

    row_id: str
    needs_login: bool
    decision: DecisionView | None


def read(reading: Reading, params: Params) -> DecisionPage:
    """The API's answer for the row that the address names."""
    row_id = params.text("id", longest=256).strip()
    if not reading.is_logged_in:
        return DecisionPage("", True, None)
    if not row_id:
        return DecisionPage("", False, None)
    path = f"/decisions/{quote(row_id, safe='')}"
    found = reading.api(path, DecisionView, absent="unknown-row")
    return DecisionPage(row_id, False, found)


def rows(view: DecisionPage) -> list[Row]:
    """One line a contribution of a feature."""
    if view.decision is None:
        return []
    return [
        {"row_id": view.row_id, "part": part.name, "scale": part.scale, "feature": one.feature,
         "value": one.value, "contribution": one.contribution}
        for part in view.decision.explanation.parts
        for one in part.contributions
    ]  # fmt: skip


def _command(params: Params) -> str:
    row_id: Any = params.given.get("id") or "ID"
    is_plain = str(row_id).replace("-", "").replace("_", "").isalnum()
    return f"understudy decision {row_id if is_plain else 'ID'}"


SCREEN = Screen(
    number=6,
    path="/decisions",
    name="Decision",
    question="Why was this row decided so?",
    template="decision.html",
    read=read,
    rows=rows,
    command=_command,
    refresh_seconds=0,
)
