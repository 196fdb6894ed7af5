"""Rows are parsed alike with pydantic's own validator and through its model."""

from collections.abc import Callable
from typing import cast

import pytest
from pydantic import BaseModel, ValidationError
from structlog.testing import capture_logs

from native.parts import Part
from native.request_parser import json_parser
from usecases.fraud.requests import TransactionRequest

pytestmark = pytest.mark.coupling


def parser(switch: str) -> Callable[[bytes], BaseModel]:
    return json_parser(TransactionRequest, Part("sample", without="", switched_off=lambda: switch))


EITHER = pytest.mark.parametrize("switch", ["", "all"], ids=["native", "pure"])


@EITHER
def test_a_row_becomes_the_request(switch: str) -> None:
    found = parser(switch)(b'{"amount": 12.5, "user_id": "Zo\xc3\xab"}')
    assert found == TransactionRequest(amount=12.5, user_id="Zoë")


@EITHER
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"amount": "x"}', b"\xff", b'{"amount": 1'])
def test_what_is_no_row_is_refused(switch: str, body: bytes) -> None:
    with pytest.raises(ValidationError):
        parser(switch)(body)


def test_a_pydantic_that_renamed_its_validator_is_noticed() -> None:
    part = Part("request-parser", without="slower")
    with capture_logs() as logs:
        assert json_parser(cast(type[BaseModel], NoValidator), part)(b"1")
    assert [line["part"] for line in logs] == ["request-parser"]


class NoValidator:
    """A model class of a pydantic that keeps its validator elsewhere."""

    @classmethod
    def model_validate_json(cls, raw: bytes) -> object:
        return raw
