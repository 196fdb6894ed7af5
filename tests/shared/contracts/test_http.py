"""Readers ignore what they do not know and name what they miss."""

import pytest
from pydantic import BaseModel

from shared.contracts.http import ContractBroken, parse_contract, parse_if_agreed


class Inner(BaseModel):
    share: float


class Outer(BaseModel):
    version: str
    inner: Inner | None


def test_members_that_nobody_knows_are_ignored() -> None:
    raw = b'{"version": "1", "inner": {"share": 1, "more": 2}, "new": []}'
    assert parse_contract(Outer, raw, "GET /x") == Outer(version="1", inner=Inner(share=1.0))


def test_a_missing_member_is_named_with_its_place() -> None:
    with pytest.raises(ContractBroken, match=r"GET /x: .*version: Field required") as caught:
        parse_contract(Outer, b'{"inner": {}}', "GET /x")
    assert "inner.share: Field required" in str(caught.value)


@pytest.mark.parametrize("raw", [b"", b"<html>", b"[]", b"null", b"\xff", b'{"version": 1}'])
def test_anything_else_is_no_contract(raw: bytes) -> None:
    with pytest.raises(ContractBroken, match="GET /x"):
        parse_contract(Outer, raw, "GET /x")
    assert parse_if_agreed(Outer, raw) is None


def test_many_faults_are_counted() -> None:
    with pytest.raises(ContractBroken, match=r"and 1 more"):
        parse_contract(FourMembers, b"{}", "GET /x")


class FourMembers(BaseModel):
    one: int
    two: int
    three: int
    four: int
