"""The probe of a store: whether its conditional writes hold, also when several race.

Some servers that speak S3 ignore the condition, or check it and write in two steps. On such a store
two hosts could both believe that they changed what is served.
"""

import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from shared.errors import SettingsError
from shared.storage.object_store import ObjectStore, Revision, WriteConflict

_RACERS, _ROUNDS = 4, 3
_FOLDER, _PASSED = "probes", "probes/conditional-writes-hold"
_CHECKED_DAYS = 1.0
_DAY_US = 86_400_000_000


def refuse_without_conditional_writes(store: ObjectStore, now_us: int) -> None:
    """Try them; the races at most once a day for all hosts, the rest each time.

    Raises:
        SettingsError: they do not hold.
        StoreAway: it could not be tried.
    """
    key = f"{_FOLDER}/{secrets.token_hex(8)}"
    try:
        _try(store, key, now_us)
    except SettingsError:
        store.delete(key)
        raise
    store.delete(key)


def _try(store: ObjectStore, key: str, now_us: int) -> None:
    first = _must(store, lambda: store.write_if(key, b"first", None))
    _must_not(store, lambda: store.write_if(key, b"again", None))
    _must(store, lambda: store.write_if(key, b"second", first))
    _must_not(store, lambda: store.write_if(key, b"stale", first))
    if not _passed_lately(store, now_us):
        for number in range(_ROUNDS):
            _race(store, key, number)
        store.write(_PASSED, b"")


def _passed_lately(store: ObjectStore, now_us: int) -> bool:
    marks = (info for info in store.list(f"{_FOLDER}/") if info.key == _PASSED)
    return any(now_us - info.modified_us < _CHECKED_DAYS * _DAY_US for info in marks)


def _race(store: ObjectStore, key: str, number: int) -> None:
    """Several writers that know the same revision: exactly one may win."""
    found = store.read(key)
    known = None if found is None else found.revision
    start = threading.Barrier(_RACERS)

    def write(racer: int) -> bool:
        start.wait()
        return _wins(lambda: store.write_if(key, f"{number}-{racer}".encode(), known))

    with ThreadPoolExecutor(_RACERS) as pool:
        if sum(pool.map(write, range(_RACERS))) != 1:
            raise _not_atomic(store)


def _wins(write: Callable[[], Revision]) -> bool:
    try:
        write()
    except WriteConflict:
        return False
    return True


def _must(store: ObjectStore, write: Callable[[], Revision]) -> Revision:
    try:
        return write()
    except WriteConflict as error:
        raise _not_atomic(store) from error


def _must_not(store: ObjectStore, write: Callable[[], Revision]) -> None:
    if _wins(write):
        raise _not_atomic(store)


def _not_atomic(store: ObjectStore) -> SettingsError:
    return SettingsError(
        f"STORE_URL: {store.name}: this store does not do conditional writes atomically, so two "
        "hosts could both believe that they changed the live version; use S3, GCS, Azure, a newer "
        "release of the server, or unset STORE_URL"
    )
