"""A running API with the use case that ships, and a first version of it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import usecases
from tests.api.bundles import Signer
from tests.api.server import Running, serve_settings

USE_CASE = usecases.load_serving(usecases.DEFAULT)
COMPONENTS = ("classifier", "isolation_forest", "autoencoder")
THRESHOLDS = {"review": 0.4, "block": 0.8, "isolation_forest": 0.6, "autoencoder": 0.5}


@contextmanager
def running_shipped(template: Path, folder: Path) -> Iterator[Running]:
    """Serve version 1.0.0 from a copy of the template."""
    shutil.copytree(template, folder, dirs_exist_ok=True)
    shutil.rmtree(folder / "prod_models")
    with Running(serve_settings(folder), USE_CASE) as server:
        signer = Signer(server.settings.keys_dir)
        raw = signer.bundle(
            "1.0.0",
            use_case=USE_CASE.name,
            components=COMPONENTS,
            feature_names=USE_CASE.feature_set.names,
            feature_set_version=USE_CASE.feature_set.version,
            thresholds=THRESHOLDS,
        )
        answer = server.push(raw, signer)
        assert answer.status_code == 200, answer.text
        yield server
