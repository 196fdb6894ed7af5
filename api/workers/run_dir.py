"""The run directory: small files in which each worker reports its state to the others.

Scoring does not need it: if the directory cannot be written, only the reports are missing. Files of
dead processes are not read.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import orjson
import structlog

from shared.system.files import TEMPORARY_PREFIX, write_whole

_log = structlog.get_logger()
# Name of the report in which each worker states its live version.
STATE = "state"
WorkerReport = dict[str, Any]


class RunDir:
    """One worker's view: it writes `WHAT-NUMBER.json` and reads those of all.

    Attributes:
        number: which worker this is, from 0.
        total: how many there are meant to be.
        peers: the folder of the sockets by which they call each other.
    """

    def __init__(self, path: Path, number: int = 0, total: int = 1) -> None:
        self.number = number
        self.total = total
        self.peers = path / "peers"
        self._path = path
        self._writable = True

    def prepare(self) -> None:
        """Raises OSError when the directory cannot be made."""
        self._path.mkdir(parents=True, exist_ok=True)

    def publish(self, what: str, content: WorkerReport) -> None:
        """Replace this worker's file; a failure is logged once and otherwise costs nothing."""
        said = orjson.dumps({**content, "pid": os.getpid()}, option=orjson.OPT_SERIALIZE_NUMPY)
        try:
            self.prepare()
            write_whole(self._file(what, self.number), said, durable=False)
            self._writable = True
        except OSError as error:
            if self._writable:
                _log.warning("run_dir_not_writable", run_dir=str(self._path), error=str(error))
            self._writable = False

    def reports(self, what: str) -> dict[int, WorkerReport]:
        """The last report of each running worker, by its number."""
        found = {number: self._read(self._file(what, number)) for number in range(self.total)}
        return {number: content for number, content in found.items() if content is not None}

    def left_behind(self, what: str) -> WorkerReport | None:
        """The last report of the process that had this worker's number before."""
        try:
            content: WorkerReport = orjson.loads(self._file(what, self.number).read_bytes())
        except (OSError, ValueError):
            return None
        return content

    def retract(self, what: str) -> None:
        """Remove this worker's report."""
        try:
            self._file(what, self.number).unlink(missing_ok=True)
        except OSError:
            return

    def clear(self) -> None:
        """Remove the reports of earlier processes; for the process that starts first.

        Raises:
            OSError: the directory cannot be written.
        """
        self.prepare()
        for path in (*self._path.glob("*-*.json"), *self._path.glob(f"{TEMPORARY_PREFIX}*")):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.peers, ignore_errors=True)

    def _file(self, what: str, number: int) -> Path:
        return self._path / f"{what}-{number}.json"

    def _read(self, path: Path) -> WorkerReport | None:
        try:
            content: WorkerReport = orjson.loads(path.read_bytes())
            os.kill(content["pid"], 0)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return content
