from pathlib import Path

import pytest

from tests.postgres import postgres
from tests.support.command_line import Command, command_in

__all__ = ["postgres"]


@pytest.fixture
def understudy(tmp_path: Path) -> Command:
    return command_in(tmp_path)
