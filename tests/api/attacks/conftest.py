"""A service that has promoted once, under a lease, and must refuse every attack."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.attacks.attack import Target
from tests.api.attacks.target import prepared
from tests.api.bundles import Signer
from tests.api.server import serve_settings


@pytest.fixture(scope="module")
def target(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("door")
    shutil.copytree(template, folder, dirs_exist_ok=True)
    with prepared(serve_settings(folder), Signer(folder / "keys")) as target:
        yield target
