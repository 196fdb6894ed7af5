"""A database file removed at run time is reported within a second, and no later row is lost."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from api.settings import Settings
from shared.tables.engine import connect
from tests.api.server import Running, wait_until
from tests.api.tiny import stored_rows
from tests.support.database_files import emptied, removed, removed_with_all_beside_it
from tests.support.database_files import replaced as replaced_by_another

pytestmark = pytest.mark.slow

WAYS = (removed, removed_with_all_beside_it, replaced_by_another, emptied)


def file_of(settings: Settings) -> Path:
    return Path(settings.database_url.get_secret_value().removeprefix("sqlite:///"))


@pytest.fixture(params=["thread", "process"])
def server(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Running]:
    with Running(settings.model_copy(update={"journal_drain_in": request.param})) as running:
        yield running


def stored(settings: Settings) -> set[str]:
    engine = connect(settings.database_url.get_secret_value())
    try:
        return {row["transaction_id"] for row in stored_rows(engine)}
    except OperationalError:  # its tables are still to be made
        return set()
    finally:
        engine.dispose()


def database_health(server: Running) -> tuple[str, str]:
    component = server.client.get("/api/health").json()["components"]["database"]
    return component["state"], component["detail"]


@pytest.mark.parametrize("happens", WAYS)
def test_it_is_told_and_what_is_acknowledged_afterwards_is_in_the_new_file(
    server: Running, happens: Callable[[Path], None]
) -> None:
    server.score(amount=1.0, transaction_id="before")
    wait_until(lambda: server.service.journaling.journal.backlog == 0, 60)

    happens(file_of(server.settings))
    server.score(amount=1.0, transaction_id="meanwhile")
    wait_until(lambda: database_health(server)[0] == "degraded")
    assert "removed or replaced" in database_health(server)[1]
    assert "understudy_database_file_changes 1.0" in server.client.get("/metrics").text

    server.score(amount=1.0, transaction_id="after")
    wait_until(lambda: server.service.journaling.journal.backlog == 0, 60)
    assert stored(server.settings) - {"meanwhile"} == {"after"}


def test_what_the_drains_process_logs_is_none_of_its_answers(server: Running, capfd: Any) -> None:
    for number in range(3):
        server.score(amount=1.0, transaction_id=f"t{number}")
        wait_until(lambda: server.service.journaling.journal.backlog == 0, 60)
        file_of(server.settings).unlink()
        server.score(amount=1.0, transaction_id=f"u{number}")
        wait_until(lambda: server.service.journaling.journal.backlog == 0, 60)
        assert "does not answer" not in capfd.readouterr().out


def test_under_load_nothing_is_lost_that_was_answered_after_it_was_told(server: Running) -> None:
    answered: list[str] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            name = f"t{len(answered)}"
            if server.score(amount=1.0, transaction_id=name).status_code == 200:
                answered.append(name)

    def more() -> None:
        aim = len(answered) + 20
        wait_until(lambda: len(answered) >= aim, 60)

    loader = threading.Thread(target=load)
    loader.start()
    told = 0
    for times in range(1, 4):
        more()
        wait_until(lambda: stored(server.settings) != set(), 60)
        file_of(server.settings).unlink()
        figure = f"understudy_database_file_changes {times}.0"
        wait_until(lambda figure=figure: figure in server.client.get("/metrics").text)  # type: ignore[misc]
        told = len(answered)
    more()
    stop.set()
    loader.join()
    wait_until(lambda: server.service.journaling.journal.backlog == 0, 60)
    assert set(answered[told:]) <= stored(server.settings)


def test_a_database_whose_tables_cannot_be_made_is_told_in_words(settings: Settings) -> None:
    path = file_of(settings)
    path.write_bytes(b"this is not a database, and nobody can make tables in it" * 100)
    with Running(settings) as server:
        assert server.score(amount=1.0, transaction_id="kept").status_code == 200
        wait_until(lambda: server.service.journaling.drain.trouble is not None)
        components = server.client.get("/api/health").json()["components"]
        assert components["database"]["state"] == "down"
        assert components["journal"]["state"] == "degraded"
        assert "could not migrate the database" in components["journal"]["detail"]
        path.unlink()
        wait_until(lambda: server.service.journaling.journal.backlog == 0, 30)
    assert stored(settings) == {"kept"}
