"""DATABASE_URL: validates it and returns the normal form that every process uses.

A relative SQLite path means the folder in which the service was started. It is made absolute here,
before any child process starts in another folder.
"""

import os
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote

from pydantic import AfterValidator, SecretStr
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from shared.errors import SettingsError
from shared.tables.storage_place import SQLITE, check_storage_place, sqlite_path

POSTGRESQL = "postgresql"
_FORMS = (
    "write sqlite:///var/understudy.db (three slashes; four for an absolute path) "
    "or postgresql://user:password@host:5432/database"
)
_IN_MEMORY = (
    "a database in memory is lost with the process and is another one in each process; "
    "write sqlite:///var/understudy.db"
)
_SCHEMES = {"sqlite3": SQLITE, "postgres": POSTGRESQL}
_SCHEME = re.compile(r"([A-Za-z0-9]+)((?:\+\w+)?)://")
_HOST_LIST = re.compile(r"^(\w+://(?:[^@/]*@)?)([^/?@]*,[^/?@]*)((?:[/?].*)?)$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NO_HOST = re.compile(r"[\s@/\\]")
# Options of Python's sqlite3 that a URL may set; this program sets the others.
_SQLITE_OPTIONS = {"timeout", "cached_statements"}
# Values that libpq accepts; another value would look like an unavailable database.
_CHOICES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": (
        "any", "read-write", "read-only", "primary", "standby", "prefer-standby",
    ),
}  # fmt: skip
_MAX_PORT = 65_535
_DEFAULT_PORT = "5432"


def parse_database_url(database_url: str) -> URL:
    """The URL with an absolute path; nothing is opened.

    Raises:
        SettingsError: it cannot work; names DATABASE_URL and the remedy, repeats no password.
    """
    text = database_url.strip()
    if _CONTROL.search(text):
        raise _refused("holds a line break or another control character", _FORMS)
    url = _made(_with_host_list(_with_known_scheme(text)))
    backend = url.get_backend_name()
    if backend == SQLITE:
        return _sqlite(url)
    if backend == POSTGRESQL:
        return _postgresql(url)
    raise _refused(f"names {backend!r}; sqlite and postgresql are supported", _FORMS)


def _resolved(secret: SecretStr) -> SecretStr:
    try:
        url = parse_database_url(secret.get_secret_value())
        path = sqlite_path(url)
        if path is not None:
            check_storage_place(Path(path))
    except SettingsError as error:
        # The caller adds the name of the setting.
        raise ValueError(str(error).removeprefix("DATABASE_URL: ")) from error
    return SecretStr(url.render_as_string(hide_password=False))


DatabaseUrl = Annotated[SecretStr, AfterValidator(_resolved)]
"""A setting's type: a URL that may carry a password, checked and made absolute."""


def _with_known_scheme(text: str) -> str:
    """Schemes in any case, and the short names that other programs give them."""
    match = _SCHEME.match(text)
    if match is None:
        raise _refused("does not parse", _FORMS)
    scheme, driver = match[1].lower(), match[2].lower()
    return f"{_SCHEMES.get(scheme, scheme)}{driver}://{text[match.end() :]}"


def _with_host_list(text: str) -> str:
    """Several hosts where libpq takes them and SQLAlchemy does not."""
    match = _HOST_LIST.match(text)
    if match is None or not text.startswith(POSTGRESQL):
        return text
    before, hosts, rest = match.groups()
    mark = "&" if "?" in rest else "?"
    return f"{before}{rest or '/'}{mark}host={hosts}"


def _with_ports_apart(url: URL) -> URL:
    """`host=a:1,b:2` and `host=a:1&host=b:2` as `host=a,b` and `port=1,2`, which libpq takes."""
    pairs = [_host_and_port(host) for host in _split(url, "host")]
    if not any(port for _, port in pairs):
        return url
    ports = [port or _DEFAULT_PORT for _, port in pairs]
    both = {"host": ",".join(host for host, _ in pairs), "port": ",".join(ports)}
    return url.set(query={**url.query, **both})


def _host_and_port(text: str) -> tuple[str, str]:
    """The colons of an IPv6 address in brackets are not before a port; a socket has none."""
    if text.startswith(("/", "@")) or (text.count(":") > 1 and not text.startswith("[")):
        return text, ""
    host, _, port = text.rpartition(":") if ":" in text.rpartition("]")[2] else (text, "", "")
    return host.strip("[]"), port


def _made(text: str) -> URL:
    try:
        return make_url(text)
    except ArgumentError as error:
        raise _refused("does not parse", _FORMS) from error
    except ValueError as error:
        # SQLAlchemy's message could contain the password, if that has a colon.
        remedy = "write a number, and %40 for @, %3A for : and %2F for / in a user or password"
        raise _refused("has a port that is not a number", remedy) from error


def _sqlite(url: URL) -> URL:
    _check_driver(url, {"pysqlite"})
    if url.host or url.username or url.password or url.port:
        path = "/".join(filter(None, (url.host, url.database)))
        raise _refused("names a host, which SQLite does not have", f"write sqlite:///{path}")
    path = url.database or ""
    if _is_in_memory(path, url):
        raise _refused("names no file", _IN_MEMORY)
    if path.startswith("file:"):
        return url.set(database=_absolute_uri(path))
    unknown = sorted(set(url.query) - _SQLITE_OPTIONS)
    if unknown:
        raise _refused(
            f"has options that SQLite does not have: {', '.join(unknown)}", "leave them out"
        )
    _check_number(url, "timeout")
    _check_number(url, "cached_statements")
    if path.startswith("~/"):
        path = str(Path(path).expanduser())
    return url.set(database=_absolute(path))


def _absolute(path: str) -> str:
    # Symbolic links are not resolved, so that later changes of a link are followed.
    return os.path.abspath(path).rstrip()  # noqa: PTH100


def _is_in_memory(path: str, url: URL) -> bool:
    name = path.removeprefix("file:").partition("?")[0].strip("/ ")
    modes = (*_all_of(url, "mode"), *re.findall(r"mode=(\w+)", path))
    return name in {"", ":memory:"} or "memory" in modes


def _absolute_uri(uri: str) -> str:
    path, mark, options = uri.removeprefix("file:").partition("?")
    if path.startswith("/"):
        return uri
    return f"file:{_absolute(unquote(path))}{mark}{options}"


def _postgresql(url: URL) -> URL:
    _check_driver(url, {"psycopg", "psycopg2", "psycopg_async"})
    url = _with_ports_apart(url)
    hosts = [url.host] if url.host else _split(url, "host")
    if any(_NO_HOST.search(host) and not host.startswith(("/", "@")) for host in hosts):
        remedy = "write %40 for @ and %2F for / in a user or password"
        raise _refused("has a host that is not a host", remedy)
    ports = [str(url.port)] if url.port is not None else _split(url, "port")
    if not all(port.isdecimal() and 0 < int(port) <= _MAX_PORT for port in ports):
        raise _refused("has a port that is not a port", f"write a number from 1 to {_MAX_PORT}")
    if len(ports) > 1 and len(ports) != len(hosts):
        raise _refused(f"has {len(hosts)} hosts and {len(ports)} ports", "write host:port for each")
    _check_number(url, "connect_timeout")
    _check_options(url)
    for name, choices in _CHOICES.items():
        for value in _all_of(url, name):
            if value not in choices:
                raise _refused(f"{name} is not {value!r}", f"choose one of {', '.join(choices)}")
    return url.set(drivername="postgresql+psycopg")


def _check_options(url: URL) -> None:
    """An option that libpq does not know would otherwise look like a database that is away."""
    from psycopg import ProgrammingError  # noqa: PLC0415 - tens of MiB, for PostgreSQL only
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415

    for name in set(url.query) - {"host", "port"}:
        try:
            make_conninfo(**{name: _all_of(url, name)[-1]})
        except ProgrammingError as error:
            raise _refused(f"has an option that libpq lacks: {name}", "leave it out") from error


def _check_driver(url: URL, known: set[str]) -> None:
    driver = url.drivername.partition("+")[2]
    if driver and driver not in known:
        raise _refused(f"names the driver {driver!r}", f"leave out +{driver}")


def _check_number(url: URL, name: str) -> None:
    for value in _all_of(url, name):
        try:
            float(value)
        except ValueError as error:
            raise _refused(f"{name} is not a number", "correct it or leave it out") from error


def _split(url: URL, name: str) -> list[str]:
    return [part for value in _all_of(url, name) for part in value.split(",")]


def _all_of(url: URL, name: str) -> tuple[str, ...]:
    value = url.query.get(name, ())
    return (value,) if isinstance(value, str) else tuple(value)


def _refused(what: str, remedy: str) -> SettingsError:
    return SettingsError(f"DATABASE_URL: {what}; {remedy}")
