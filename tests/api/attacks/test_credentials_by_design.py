"""Tokens are compared in one place, in constant time, against all of them."""

import ast
import hmac
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import api
from api.http.auth import Authenticator, Limits
from api.http.problems import Problem
from shared.keys.tokens import API_ROLES, Role

ROOT = Path(api.__file__).parent
TOKENS = {role: f"{role}-" + "t" * 40 for role in API_ROLES}


class Counted:
    """Counts calls of hmac.compare_digest, as the interpreter reports them."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, _frame: FrameType, event: str, called: Any) -> None:
        self.calls += event == "c_call" and called is hmac.compare_digest


@pytest.mark.parametrize(
    "offered",
    ["", "x", TOKENS[Role.PUSH][:-1], TOKENS[Role.PUSH][:-1] + "x", *TOKENS.values()],
)
def test_however_near_a_token_is_it_is_compared_with_all_of_them(offered: str) -> None:
    door = Authenticator(TOKENS, Limits.per_minute(0, 0), scoring_open=False)
    scope = {"path": "/", "headers": [(b"authorization", b"Bearer " + offered.encode())]}
    counted = Counted()
    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        with suppress(Problem):
            door.admit(scope, Role.PUSH)
    finally:
        sys.setprofile(before)
    assert counted.calls == len(API_ROLES)


def test_nothing_else_in_the_service_reads_credentials() -> None:
    """Only the doorkeeper asks for the header, and only its composition root for the tokens."""
    reading = {
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Constant) and node.value in (b"authorization", "authorization"))
        or (isinstance(node, ast.Name) and node.id == "read_token")
    }
    assert reading == {"http/access.py", "http/auth.py"}


def test_the_doorkeeper_compares_no_bytes_but_by_digest() -> None:
    tree = ast.parse((ROOT / "http" / "auth.py").read_text())
    compared = {
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        and any(isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in node.ops)
    }
    # roles and the names of the header and the scheme are not secret
    assert compared == {
        "scheme.lower() == b'basic'",
        "scheme.lower() == b'bearer'",
        "name in _SAYS_WHO",
        "name != b'authorization'",
        "role in OPENABLE",
        "role in LIMITED",
        "held.role in ALSO_ADMITTED.get(role, ())",
        "held.role in also",
    }
