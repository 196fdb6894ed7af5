"""Counts what is handed to a parser before the signature over it was found to hold.

The interpreter reports every call in the service's threads (sys.setprofile); nothing of the
service is replaced. Only calls on the way of a request count: the service's own files are
read by other threads.
"""

import json
import threading
import zipfile
from types import CodeType, FrameType
from typing import Any

from api.models.promoter import Promoter
from shared.bundle.archive import unpack
from shared.bundle.graph import check_graph
from shared.bundle.manifest import Manifest
from shared.keys.store import verify
from shared.scoring.session import OnnxModel

_PUSH, _VERIFY = Promoter.push.__code__, verify.__code__
_PARSERS: set[CodeType] = {
    unpack.__code__,
    check_graph.__code__,
    zipfile.ZipFile.__init__.__code__,
    Manifest.model_validate_json.__func__.__code__,  # type: ignore[attr-defined]
    OnnxModel.load.__func__.__code__,  # type: ignore[attr-defined]
    json.loads.__code__,
}
# Of what is written in C only the name is reported: pickle, orjson, pydantic, zlib, protobuf.
_C_PARSERS = {"load", "loads", "validate_json", "decompress", "ParseFromString", "FromString"}
_REQUEST_THREADS = ("AnyIO worker", "server")


class ParseWatch:
    """`before` and `after` are bytes; `calls_before` counts parsers whatever they were given."""

    def __init__(self) -> None:
        self.before = 0
        self.after = 0
        self.calls_before = 0
        self.active = False
        self._held = threading.local()

    def install(self) -> None:
        """Watch every thread that is started from here on."""
        threading.setprofile(self)

    def remove(self) -> None:
        self.active = False
        threading.setprofile(None)

    def __call__(self, frame: FrameType, event: str, value: Any) -> None:
        if not self.active:
            return
        if event == "return":
            if frame.f_code is _VERIFY and value is not None:
                self._held.signature = True
        elif event == "call":
            if frame.f_code is _PUSH:
                self._held.signature = False
            elif frame.f_code in _PARSERS:
                self._parsed(frame)
        elif event == "c_call" and getattr(value, "__name__", "") in _C_PARSERS:
            self._parsed(None)

    def _parsed(self, frame: FrameType | None) -> None:
        if not threading.current_thread().name.startswith(_REQUEST_THREADS):
            return
        given = frame.f_locals.values() if frame is not None else ()
        size = max((len(item) for item in given if isinstance(item, bytes | str)), default=0)
        if getattr(self._held, "signature", False):
            self.after += size
        else:
            self.before += size
            self.calls_before += 1
