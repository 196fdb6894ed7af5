"""Counts of a stage add up over hosts: each puts its own into the store and reads the others'.

Through the store and not the database: it is what makes several hosts a group, and a rollout is
judged also while the database is away. What came from another host lies beside the files of this
host's workers, so a sum over the folder is one over all hosts, a few seconds old.
"""

from pathlib import Path
from secrets import token_hex

import structlog

from api.rollout.arm_counts import OTHER_HOSTS, own_counts
from shared.clock import Clock
from shared.sizes import MIB
from shared.storage.object_store import ObjectInfo, ObjectStore, ObjectTooLarge
from shared.system.files import create_once, write_whole

_log = structlog.get_logger()
_PREFIX = "counts/"
# Counts of stages that are over are removed after this long.
_KEPT_US = 3_600_000_000
# 160 kB of users for each worker of a host (api.rollout.arm_counts)
_MOST_BYTES = 32 * MIB


class HostCounts:
    """This host's part; one per host, called by its mirror."""

    def __init__(self, store: ObjectStore, run_dir: Path, folder: Path, clock: Clock) -> None:
        self._store = store
        self._run_dir = run_dir
        self._folder = folder
        self._clock = clock
        self._key: str | None = None
        self._stage: str | None = None
        self._written: tuple[bytes, bytes] = (b"", b"")
        self._read: dict[str, ObjectInfo] = {}

    def exchange(self, stage_key: str | None) -> None:
        """Write what is new here and read what is new elsewhere; None: no stage is on.

        Raises:
            StoreAway: the store does not answer.
            OSError: the folder cannot be written.
        """
        if stage_key != self._stage:
            self._stage, self._written, self._read = stage_key, (b"", b""), {}
            self._clear(stage_key)
        if stage_key is None:
            return
        counts = own_counts(self._folder, stage_key)
        if counts != self._written:
            for suffix, content in zip((".users", ".json"), reversed(counts), strict=True):
                self._store.write(f"{_PREFIX}{stage_key}/{self._own_key()}{suffix}", content)
            self._written = counts
        self._read_others(stage_key)

    def _read_others(self, stage_key: str) -> None:
        for info in self._store.list(f"{_PREFIX}{stage_key}/"):
            host, _, suffix = info.key.rpartition("/")[2].partition(".")
            if host == self._own_key() or self._read.get(info.key) == info:
                continue
            if not (host.isalnum() and suffix in ("json", "users")):
                continue
            try:
                found = self._store.read(info.key, _MOST_BYTES)
            except ObjectTooLarge as error:
                _log.error("host_counts_refused", key=info.key, problem=str(error))
                self._read[info.key] = info
                continue
            if found is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
                path = self._folder / f"{stage_key}.{OTHER_HOSTS}{host}.{suffix}"
                write_whole(path, found.content, durable=False)
                self._read[info.key] = info

    def _own_key(self) -> str:
        """Counts of this RUN_DIR: those of an earlier one are another host's, and still count."""
        if self._key is None:
            path = self._run_dir / "host.key"
            create_once(path, token_hex(8).encode())
            self._key = path.read_text().strip()
        return self._key

    def _clear(self, stage_key: str | None) -> None:
        before_us = self._clock.now_us() - _KEPT_US
        for info in list(self._store.list(_PREFIX)):
            is_over = stage_key is None or not info.key.startswith(f"{_PREFIX}{stage_key}/")
            if is_over and info.modified_us < before_us:
                self._store.delete(info.key)
