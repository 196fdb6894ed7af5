"""DATABASE_URL: what works, and what is refused with the name of the setting and a remedy."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from shared.errors import SettingsError
from shared.tables.engine import connect
from shared.tables.storage_place import file_system_of
from shared.tables.url import parse_database_url
from understudy.settings import CommandSettings

MOUNTS = "\n".join((
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
    "31 22 0:40 / /srv/team rw - nfs4 server:/team rw,vers=4.2",
    "32 22 0:41 / /srv/with\\040blank rw - cifs //server/share rw",
    "33 31 8:2 / /srv/team/local rw - xfs /dev/sdb1 rw",
    "34 22 0:42 / /home/me/remote rw - fuse.sshfs me@host:/ rw",
    "a line that nobody understands",
))  # fmt: skip


@pytest.mark.parametrize("url", [
    "sqlite://", "sqlite:///", "sqlite:///:memory:", "SQLITE://", "sqlite:///file::memory:?uri=true",
    "sqlite:///file:x.db?mode=memory&uri=true", "sqlite:////", "sqlite:///   ",
])  # fmt: skip
def test_a_database_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"DATABASE_URL.*file"):
        connect(url)


@pytest.mark.parametrize(("url", "remedy"), [
    ("sqlite://var/x.db", "write sqlite:///var/x.db"),
    ("sqlite://u:pw@host/x.db", "names a host"),
    ("postgresql://u:pw@db1.invalid:port/name", "write a number"),
    ("postgresql://u:pw@db1.invalid:/name", "write a number"),
    ("postgresql://u:pw@db1.invalid:70000/name", "1 to 65535"),
    ("postgresql://u:pw@a:1,b:port/name", "1 to 65535"),
    ("postgresql://u:pw@a,b/name?port=1,2,3", "host:port for each"),
    ("postgresql://u:pw@ss@host/name", "%40 for @"),
    ("postgresql://u:pw@host/name?sslmod=require", "sslmod; leave it out"),
    ("postgresql://u:pw@host/name?connect_timeout=soon", "connect_timeout is not a number"),
    ("postgresql://u:pw@host/name?sslmode=on", "sslmode .*verify-full"),
    ("postgresql://u:pw@a,b/name?target_session_attrs=master", "target_session_attrs .*primary"),
    ("postgresql+asyncpg://u:pw@host/name", r"leave out \+asyncpg"),
    ("sqlite+aiosqlite:///x.db", r"leave out \+aiosqlite"),
    ("sqlite:///x.db?mode=ro", "mode; leave them out"),
    ("sqlite:///x.db?timeout=long", "timeout is not a number"),
    ("sqlite:///x\n.db", "line break"),
    ("sqlite:///x\x00.db", "control character"),
    ("sqlite:/x.db", "three slashes"), ("x.db", "three slashes"), (" ", "three slashes"),
    ("'sqlite:///x.db'", "three slashes"), ("mysql://u:pw@host/db", "sqlite and postgresql"),
])  # fmt: skip
def test_a_mistake_names_the_setting_and_the_remedy_and_no_password(url: str, remedy: str) -> None:
    with pytest.raises(SettingsError, match=rf"DATABASE_URL: .*{remedy}") as caught:
        connect(url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("url", [
    "sqlite:///var/x.db", "SQLITE:///var/x.db", "sqlite3:///var/x.db", " sqlite:///var/x.db\n",
    "sqlite:///./var/y/../x.db", "sqlite+pysqlite:///var/x.db",
])  # fmt: skip
def test_a_relative_path_is_one_file_wherever_it_is_read(url: str) -> None:
    assert parse_database_url(url).database == str(Path.cwd() / "var" / "x.db")


def test_a_path_below_the_home_folder_is_no_folder_named_tilde() -> None:
    assert parse_database_url("sqlite:///~/x.db").database == str(Path.home() / "x.db")


@pytest.mark.parametrize("url", [
    "postgres://u:pw@host:5433/name", "POSTGRESQL://u:pw@host:5433/name",
    "postgresql+psycopg2://u:pw@host:5433/name", "postgresql://u:pw@host:5433/name \r\n",
])  # fmt: skip
def test_the_forms_that_other_programs_take_mean_the_same(url: str) -> None:
    expected = "postgresql+psycopg://u:pw@host:5433/name"
    assert parse_database_url(url).render_as_string(hide_password=False) == expected


@pytest.mark.parametrize("url", [
    "postgresql://u:pw@a:5433,b/name", "postgresql://u:pw@/name?host=a:5433,b:5432",
    "postgresql://u:pw@/name?host=a:5433&host=b", "postgresql://u:pw@/name?host=a,b&port=5433,5432",
])  # fmt: skip
def test_several_hosts_reach_the_driver_in_every_form(url: str) -> None:
    engine = connect(url)
    _, parameters = engine.dialect.create_connect_args(engine.url)
    assert (parameters["host"], parameters["port"]) == ("a,b", "5433,5432")


@given(st.text("aé9-_ .%#&=+/", min_size=1).filter(lambda name: name.strip(" ./")))
def test_what_was_understood_once_is_understood_alike_by_every_child(name: str) -> None:
    url = parse_database_url(f"sqlite:///{name}")
    again = parse_database_url(url.render_as_string(hide_password=False))
    assert again == url
    assert os.path.isabs(again.database or "")  # noqa: PTH117


def test_settings_hold_the_absolute_url(tmp_path: Path) -> None:
    settings = CommandSettings(database_url=SecretStr("sqlite:///x.db\n"))
    assert settings.database_url.get_secret_value() == f"sqlite:///{Path.cwd()}/x.db"


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder; name a file in it"):
        CommandSettings(database_url=SecretStr(f"sqlite:///{tmp_path}"))


def test_a_place_where_no_folder_can_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="DATABASE_URL: cannot make the folder"):
        connect(f"sqlite:///{tmp_path}/file/x.db")


@pytest.mark.parametrize(("path", "kind"), [
    ("/var/x.db", "ext4"), ("/srv/team/x.db", "nfs4"), ("/srv/team", "nfs4"),
    ("/srv/teamwork/x.db", "ext4"), ("/srv/with blank/deep/x.db", "cifs"),
    ("/srv/team/local/x.db", "xfs"), ("/home/me/remote/x.db", "fuse.sshfs"),
])  # fmt: skip
def test_the_file_system_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    assert file_system_of(Path(path), MOUNTS) == kind
