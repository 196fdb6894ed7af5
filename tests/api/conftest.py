import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.settings import Settings
from shared.keys.tokens import API_ROLES, ensure_tokens
from shared.tables.engine import connect, migrate
from tests.api.bundles import Signer, install
from tests.api.server import Running, serve_settings


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys, tokens, an empty database and version 1.0.0: made once, copied for each test."""
    folder = tmp_path_factory.mktemp("template")
    settings = serve_settings(folder)
    ensure_tokens(settings.keys_dir, API_ROLES)
    install(settings, Signer(settings.keys_dir), "1.0.0")
    engine = connect(settings.database_url.get_secret_value())
    migrate(engine)
    engine.dispose()
    return folder


@pytest.fixture
def settings(template: Path, tmp_path: Path) -> Settings:
    """Settings of a service that has served 1.0.0 before."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return serve_settings(tmp_path)


@pytest.fixture
def signer(settings: Settings) -> Signer:
    return Signer(settings.keys_dir)


@pytest.fixture
def serving(settings: Settings) -> Iterator[Running]:
    """A server that serves version 1.0.0."""
    with Running(settings) as server:
        yield server


@pytest.fixture
def running(settings: Settings) -> Iterator[Running]:
    """A server without a model."""
    shutil.rmtree(settings.prod_models_dir)
    with Running(settings) as server:
        yield server


@pytest.fixture(scope="module")
def steady(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests of a module that change nothing."""
    folder = tmp_path_factory.mktemp("steady")
    shutil.copytree(template, folder, dirs_exist_ok=True)
    with Running(serve_settings(folder)) as server:
        yield server
