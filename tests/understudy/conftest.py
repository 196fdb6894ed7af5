from pathlib import Path

import pytest

from tests.support.command_line import Command, command_in


@pytest.fixture
def understudy(tmp_path: Path) -> Command:
    return command_in(tmp_path)
