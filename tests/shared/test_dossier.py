"""The governance document: complete, bounded, and free of markup that was stored."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.people import AuditEntry
from shared.dossier import (
    DossierParts,
    StoredParts,
    about,
    as_html,
    as_markdown,
    build_dossier,
)

TEXT = st.text(max_size=60) | st.sampled_from(
    ["<script>alert(1)</script>", "a|b", "[x](javascript:alert(1))", "# head", "\n\n---\n", "</td>"]
)


def parts(text: str = "why") -> DossierParts:
    run: dict[str, Any] = {
        "runid": 7, "scheduledfor": "2026-01-01", "requestedby": text, "status": "SUCCEEDED",
        "statuscode": "promoted", "statusmessage": text, "championversion": "1.0.0",
        "verdicts": [{"gate": text, "outcome": "PASS", "reason": text}],
    }  # fmt: skip
    approval = {"state": "approved", "requestedat": 1, "decidedat": 2, "decidedby": text,
                "reason": text}  # fmt: skip
    looks = tuple(
        {"lookedat": at, "sharepercent": 5, "step": "hold", "code": "stage_young", "reason": text}
        for at in range(3)
    )
    check = {"scheduledfor": "2026-01-02", "statuscode": "drift", "statusmessage": text}
    line = AuditEntry(
        number=1, at="2026-01-01T00:00:00Z", what="rollback", who=f"operator/{text}", why=text,
        version="1.0.0", details={"previous": "1.0.1"}, is_readable=True, follows=True,
    )  # fmt: skip
    return DossierParts(
        version="1.0.1",
        now_us=1_767_225_600_000_000,
        manifest={"model_name": text, "description": text, "metrics": {text: 0.5},
                  "components": [text], "frameworks": {text: text},
                  "hyperparameters": {text: text}, "training_data": {"rows": 10}},
        stored=StoredParts((run,), (approval,), looks, (check,)),
        trail=(line,),
        is_trail_whole=True,
        missing=(text,),
    )  # fmt: skip


def test_every_part_is_there_in_both_forms() -> None:
    made = build_dossier(parts("because of it"))
    for text in (as_markdown(made), as_html(made)):
        for title in ("Card", "Data and recipe", "Gates", "People", "Rollout", "Trail"):
            assert title in text
        assert text.count("because of it") > 8
        assert "whole" in text
    # three alike looks are one step
    assert as_html(made).count("stage_young") + as_html(made).count("stage\\_young") == 1


def test_an_empty_dossier_says_what_there_is_not() -> None:
    text = as_markdown(build_dossier(DossierParts("1.0.9", 0)))
    assert "pushed by hand" in text
    assert "could not be read" in text
    assert "never on trial" in text


@given(TEXT)
def test_no_stored_text_becomes_markup(text: str) -> None:
    made = build_dossier(parts(text))
    page = as_html(made)
    tags = set(re.findall(r"<(/?[a-zA-Z0-9!]+)", page))
    assert tags <= {
        "!DOCTYPE", "html", "/html", "head", "/head", "meta", "title", "/title", "style",
        "/style", "body", "/body", "h1", "/h1", "h2", "/h2", "p", "/p", "dl", "/dl", "dt",
        "/dt", "dd", "/dd", "table", "/table", "thead", "/thead", "tbody", "/tbody", "tr",
        "/tr", "th", "/th", "td", "/td",
    }  # fmt: skip
    for line in as_markdown(made).splitlines():
        assert not re.search(r"(?<!\\)<", line)
        if line.startswith("| ") and not line.startswith("| ---"):
            assert len(re.findall(r"(?<!\\)\|", line.replace("\\\\", ""))) in {3, 4, 5, 6}


def test_lines_about_a_version_are_those_that_name_it_or_leave_it() -> None:
    def line(number: int, version: str, previous: str | None) -> AuditEntry:
        return AuditEntry(
            number=number, at=None, what=None, who=None, why=None, version=version,
            details={"previous": previous}, is_readable=True, follows=True,
        )  # fmt: skip

    found = about(
        "1.0.1", [line(1, "1.0.1", None), line(2, "1.0.0", "1.0.1"), line(3, "2.0.0", None)]
    )
    assert [one.number for one in found] == [1, 2]
