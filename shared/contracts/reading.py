"""Reading what another program wrote: unknown members are ignored, missing ones are named."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from shared.errors import UnderstudyError

Contract = TypeVar("Contract", bound=BaseModel)
_TOLD = 3


class ContractBroken(UnderstudyError):
    """Raised when JSON of another program is not what was agreed; names the fields."""


def parse_contract(model: type[Contract], raw: bytes | str, source: str) -> Contract:
    """The model that this JSON holds. `source` says where it came from, such as a request.

    Raises:
        ContractBroken: it is not JSON, or members are missing or of another type.
    """
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        faults = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}" for item in found[:_TOLD]
        )
        more = f" (and {len(found) - _TOLD} more)" if len(found) > _TOLD else ""
        raise ContractBroken(
            f"{source}: not a {model.__name__} as known here: {faults}{more}; "
            "use the same release of both programs"
        ) from error


def parse_if_agreed(model: type[Contract], raw: bytes | str) -> Contract | None:
    """The same, or None where it is something else; for answers that may come from a proxy."""
    try:
        return model.model_validate_json(raw)
    except ValidationError:
        return None
