"""`python -m tests.api.cut_promotion FOLDER VERSION N`: promote, but die before the N-th write.

A write is anything that changes a file or a directory; the interpreter itself reports them.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from api.models.promoter import Push
from api.wiring import build_service
from shared.clock import SystemClock
from tests.api.bundles import Signer
from tests.api.server import serve_settings
from tests.api.tiny import TinyUseCase

WRITES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}


class Cut:
    """Counts writes below one directory and kills the process before one of them."""

    def __init__(self, root: Path, after: int) -> None:
        self._root = str(root)
        self._left = after

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        opens = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT
        if not (opens or event in WRITES) or self._root not in str(arguments[0]):
            return
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


def main(folder: Path, version: str, step: int) -> None:
    settings = serve_settings(folder)
    signer = Signer(settings.keys_dir)
    service = build_service(settings, TinyUseCase(), SystemClock())
    service.promoter.restore()
    raw = signer.bundle(version)
    sys.addaudithook(Cut(settings.prod_models_dir, step))
    service.promoter.push(Push(raw, signer.sign(raw), None, "test"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
