"""`ledger.json`: read strictly; what is left of a damaged one is saved, never taken for empty."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from api.registry.ledger import Acceptance, Activation, Ledger
from shared.machine_clock import wall_ns
from shared.system.files import write_whole

_log = structlog.get_logger()
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Found:
    """What the file said.

    Attributes:
        trouble: why it is not the whole ledger; None: it is.
    """

    ledger: Ledger
    trouble: str | None


class LedgerFile:
    """The one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Ledger:
        """Raises OSError or ValidationError when it is not there or not whole."""
        return Ledger.model_validate_json(self.path.read_bytes())

    def salvaged(self) -> Found:
        """What can be read of it."""
        try:
            raw = self.path.read_bytes()
            return Found(Ledger.model_validate_json(raw), None)
        except FileNotFoundError:
            return Found(Ledger(), "it is missing")
        except OSError as error:
            return Found(Ledger(), f"it cannot be read: {error.strerror}")
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, problem["loc"]))
            return Found(_salvage(raw), f"it is damaged: {where} {problem['msg']}".strip())

    def write(self, ledger: Ledger) -> None:
        write_whole(self.path, ledger.model_dump_json(indent=2).encode() + b"\n")

    def put_aside(self) -> None:
        """Keep the damaged one for whoever wants to look at it."""
        aside = self.path.with_name(f"{self.path.name}.damaged-{wall_ns()}")
        try:
            self.path.rename(aside)
        except FileNotFoundError:
            return
        except OSError as error:
            _log.warning("damaged_ledger_not_kept", error=str(error))


def _salvage(raw: bytes) -> Ledger:
    """Every entry that makes sense by itself."""
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        return Ledger()
    if not isinstance(content, dict):
        return Ledger()
    entries, served = content.get("accepted"), content.get("activations")
    found = [_read(Acceptance, one) for one in _values(entries)]
    listed = [_read(Activation, one) for one in _values(served)]
    return Ledger(
        accepted={one.version: one for one in found if one is not None},
        activations=tuple(one for one in listed if one is not None),
        fencing_number=_number(content.get("fencing_number")),
        step_fencing_number=_number(content.get("step_fencing_number")),
    )


def _values(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _read(model: type[Model], value: Any) -> Model | None:
    try:
        return model.model_validate(value)
    except ValidationError:
        return None


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
