"""The shipped use case on a real PostgreSQL, which is killed and comes back."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import SecretStr

from api.wiring import build_service
from shared.clock import SystemClock
from tests.api.bundles import Signer
from tests.api.mortal_postgres import MortalPostgres
from tests.api.server import Running, serve_settings, wait_until
from tests.api.tiny import stored_rows
from tests.support.api_calls import feedback, labels_of, quarantined_rows
from tests.support.api_on_postgresql import USE_CASE, bundle, database, predict
from tests.support.api_registries import NoSmoke

__all__ = ["database"]


def health(server: Running) -> dict[str, Any]:
    components: dict[str, Any] = server.client.get("/api/health").json()["components"]
    return components


def seen_before(server: Running, transaction_id: str) -> float:
    """How many rows of its user the day before it counted, as it was served."""
    place = USE_CASE.feature_set.names.index("cnt_24h")
    rows = {row["transaction_id"]: row for row in stored_rows(server.service.database.engine)}
    vector = np.frombuffer(rows[transaction_id]["feature_vector"], dtype=np.float32)
    return float(vector[place])


def test_scoring_outlives_a_killed_database_and_nothing_is_lost_or_doubled(
    database: MortalPostgres, template: Path, tmp_path: Path
) -> None:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "prod_models")
    settings = serve_settings(tmp_path, database_url=SecretStr(database.server.url("postgres")))
    service = build_service(settings, USE_CASE, SystemClock(), smoke=NoSmoke())
    with Running(settings, service=service) as server:
        signer = Signer(settings.keys_dir)
        assert server.push(bundle(signer), signer).status_code == 200
        first = predict(server, "t1")
        predict(server, "t2")
        server.drained()
        assert predict(server, "t1").content == first.content
        label = {"transaction_id": "t1", "label": 1}
        assert feedback(server, label).json()["stored"] == 1

        database.kill()
        predict(server, "t3")
        predict(server, "t4")
        assert predict(server, "t1").content == first.content
        assert server.client.get("/readyz").status_code == 200
        assert feedback(server, {"transaction_id": "t2", "label": 0}).json()["queued"] == 1
        wait_until(lambda: service.journaling.drain.trouble is not None)
        told = health(server)
        assert (told["database"]["state"], told["journal"]["state"]) == ("down", "degraded")

        database.start()
        wait_until(lambda: service.journaling.journal.backlog == 0, 20)
        third = predict(server, "t3")
        server.drained()
        stored = [row["transaction_id"] for row in stored_rows(service.database.engine)]
        assert sorted(stored) == ["t1", "t2", "t3", "t4"]
        assert third.json()["version"] == "1.0.0"
        # The window of a user goes on serving while the database is away.
        names = ("t1", "t2", "t3", "t4")
        assert [seen_before(server, name) for name in names] == [0.0, 1.0, 2.0, 3.0]
        labels = {name: label for name, (label, _) in labels_of(server).items()}
        assert labels == {"t1": 1, "t2": 0, "t3": None, "t4": None}
        assert health(server)["database"]["state"] == "ok"


def test_rows_of_strangers_are_quarantined_and_found_again(
    database: MortalPostgres, template: Path, tmp_path: Path
) -> None:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "prod_models")
    url, reach = SecretStr(database.server.url("postgres")), "anywhere"
    settings = serve_settings(tmp_path, database_url=url, open_scoring_reach=reach)
    service = build_service(settings, USE_CASE, SystemClock(), NoSmoke())
    with Running(settings, service=service) as server:
        signer = Signer(settings.keys_dir)
        assert server.push(bundle(signer), signer).status_code == 200
        first = predict(server, "t").json()
        server.drained()
        service.scoring.cache.stored(["\0t"])
        assert feedback(server, {"transaction_id": "t", "label": 1}).json()["stored"] == 1
        assert predict(server, "t").json() == first
        assert stored_rows(service.database.engine) == []
        (row,) = quarantined_rows(service.database.engine)
        assert (row["sent_by"], row["label"], row["label_sent_by"]) == ("anonymous", 1, "feedback")
