"""Batches by owner: parts for the workers that own their rows, and one answer out of theirs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from pydantic_core import to_json

from api.workers.peers.ownership import Ownership, parsed


@dataclass(slots=True)
class Part:
    """The rows of one owner, and their places in the batch.

    Attributes:
        is_repeatable: every row has an id of its own, so sending them twice has the effect of once.
    """

    owner: int
    places: list[int] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)
    is_repeatable: bool = True

    def body(self) -> bytes:
        """As the rows came: NaN stays what it is, and is refused where it is scored."""
        try:
            found = orjson.dumps({"instances": self.rows})
        except orjson.JSONEncodeError:  # an integer of more than 64 bits
            found = b"null"
        # orjson writes null for NaN and infinities
        if b"null" in found:
            return to_json({"instances": self.rows}, inf_nan_mode="constants")
        return found


class PartAnswer(NamedTuple):
    """What became of a part; `headers` are whole lines."""

    status: int
    headers: bytes
    body: bytes


def split(body: bytes, ownership: Ownership, max_rows: int) -> list[Part]:
    """Parts in the order of their first rows; none where the batch cannot be taken apart.

    A row whose id came earlier in the batch goes where that went: only there is it recognised.
    """
    rows = _rows(body)
    if not 0 < len(rows) <= max_rows:
        return []
    parts: dict[int, Part] = {}
    first: dict[str, int] = {}
    for place, row in enumerate(rows):
        number, is_named = ownership.of(row)
        if is_named:
            number = first.setdefault(row["transaction_id"], number)
        part = parts.setdefault(number, Part(number))
        part.places.append(place)
        part.rows.append(row)
        part.is_repeatable = part.is_repeatable and is_named
    return list(parts.values())


def merge(parts: Sequence[Part], answers: Sequence[PartAnswer]) -> PartAnswer:
    """One answer, its rows in the order of the batch.

    It names the version of the first part that was scored. The rows of a part that was refused
    as a whole have its problem each; where no part was scored, its problem is the answer.
    """
    scored = [answer for answer in answers if answer.status == 200]
    if not scored:
        return answers[0]
    predictions: list[Any] = [None] * sum(len(part.places) for part in parts)
    version = None
    for part, answer in zip(parts, answers, strict=True):
        content = orjson.loads(answer.body)
        if answer.status == 200:
            version = version or content["version"]
            found = content["predictions"]
        else:
            found = [{"index": 0, "error": content}] * len(part.places)
        for place, prediction in zip(part.places, found, strict=True):
            predictions[place] = _at(place, prediction)
    body = orjson.dumps({"predictions": predictions, "version": version})
    return PartAnswer(200, scored[0].headers, body)


def _rows(body: bytes) -> Sequence[Any]:
    try:
        content = parsed(body)
    except ValueError:
        return ()
    rows = content.get("instances") if isinstance(content, dict) else None
    return rows if isinstance(rows, list) else ()


def _at(place: int, prediction: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row's error says where the row is in the whole batch."""
    if prediction.keys() == {"index", "error"}:
        return {**prediction, "index": place}
    return prediction
