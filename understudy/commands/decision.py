"""`understudy decision`: why one row was decided so."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from shared.contracts.decisions import (
    ChampionView,
    DecisionView,
    ExplainedPart,
    LabelView,
    ThresholdView,
)
from understudy.api_client import read_api
from understudy.commands.options import AsJson
from understudy.settings import load_settings
from understudy.terminal import DataTable, console, second_of, write_json

_MOST = 10


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(decision)


def decision(
    row_id: Annotated[str, typer.Argument(metavar="ID", help="The row's id, as it was scored.")],
    as_json: AsJson = False,
) -> None:
    """Print one decision: rules with the values they saw, scores, contributions, label, champion.

    Contributions are exact (TreeSHAP over the stored vector); what cannot be explained is named.
    It needs the read token in KEYS_DIR, also where reading is open.

    **Examples**

        understudy decision t-1001

        understudy decision t-1001 --json
    """
    path = f"/decisions/{quote(row_id, safe='')}"
    found = read_api(load_settings(), path, DecisionView)
    if as_json:
        write_json(found.model_dump(mode="json"))
        return
    _print_head(found)
    if found.thresholds:
        console.print(_thresholds(found.thresholds))
    for reason in found.reason_codes:
        console.print(_reason(reason), soft_wrap=True)
    for part in found.explanation.parts:
        _print_part(part)
    for name, why in found.explanation.not_explained.items():
        console.print(f"{name} is not explained: {why}", soft_wrap=True)
    _print_label(found)
    if found.champion is not None:
        _print_champion(found.champion)


def _print_head(found: DecisionView) -> None:
    score = "" if found.score is None else f", score {found.score:.4f}"
    console.print(f"{found.row_id}: {found.decision}{score}", soft_wrap=True)
    by = found.sent_by or "an unrecorded sender"
    console.print(
        f"decided {second_of(found.decided_at)} by version {found.model_version}, sent by {by}"
        + (", quarantined" if found.is_quarantined else "")
        + ("" if found.is_stored else ", not in the database yet"),
        soft_wrap=True,
    )
    table = DataTable("column", "value", box=None, pad_edge=False)
    for name, value in found.row.items():
        if value is not None:
            table.add_row(name, str(value))
    console.print(table)


def _thresholds(found: list[ThresholdView]) -> DataTable:
    table = DataTable("threshold", "at", "of", "value", "", box=None, pad_edge=False)
    for one in found:
        value = "" if one.value is None else f"{one.value:.4f}"
        reached = "reached" if one.is_reached else ""
        table.add_row(one.name, f"{one.threshold:.4f}", one.compared_with, value, reached)
    return table


def _reason(reason: dict[str, Any]) -> str:
    return f"{reason.get('code', '')}: {reason.get('message', reason)}"


def _print_part(part: ExplainedPart) -> None:
    adds = "" if part.adds is None else f", adds {part.adds:.4f} to the score"
    console.print(
        f"\n{part.name} ({', '.join(part.components)}; {part.scale}): {part.raw:+.4f}, of which "
        f"{part.expected_raw:+.4f} is expected{adds}",
        soft_wrap=True,
    )
    table = DataTable("feature", "value", "contribution", box=None, pad_edge=False)
    table.columns[2].justify = "right"
    for one in part.contributions[:_MOST]:
        value = f"{one.value:.6g}" if isinstance(one.value, float) else str(one.value)
        table.add_row(one.feature, value, f"{one.contribution:+.4f}")
    console.print(table)
    left = len(part.contributions) - _MOST
    if left > 0:
        console.print(f"and {left} smaller ones; --json has them")


def _print_label(found: DecisionView) -> None:
    label = found.label
    if label is None:
        console.print("no label yet")
        return
    source = f" ({label.source})" if label.source else ""
    console.print(f"label {_shown(label)} since {second_of(label.known_at)}{source}")
    for earlier in found.earlier_labels:
        console.print(f"before {second_of(earlier.replaced_at)} it was {_shown(earlier)}")


def _shown(label: LabelView) -> str:
    return str(label.value) if label.name is None else label.name


def _print_champion(champion: ChampionView) -> None:
    if champion.unavailable is not None:
        console.print(f"{champion.version}, which serves now: {champion.unavailable}")
        return
    for answer in champion.answers:
        console.print(
            f"{champion.version}, which serves now, would say {answer.decision} "
            f"({answer.score:.4f}) at {answer.path}",
            soft_wrap=True,
        )
