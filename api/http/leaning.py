"""What the protocol leans on inside of uvicorn and httptools; neither promises to keep it.

An untested version is told in the log at the start; the contract tests are
tests/api/test_bounds.py, test_fast_path.py, test_coalesced_write.py and tests/api/attacks/wire.py.
"""

from collections.abc import Iterable
from importlib.metadata import version

# major and minor
TESTED = {"uvicorn": "0.54", "httptools": "0.9"}
# Members of uvicorn's HttpToolsProtocol and RequestResponseCycle that are read or overridden.
OF_PROTOCOL = (
    "connection_made", "connection_lost", "data_received", "on_message_begin", "on_url",
    "on_header", "on_headers_complete", "on_body", "on_message_complete", "on_response_complete",
    "shutdown", "pause_writing", "resume_writing", "timeout_keep_alive_handler",
    "_unset_keepalive_if_required",
)  # fmt: skip
OF_CYCLE = ("disconnected", "keep_alive", "message_event", "response_complete", "response_started")


def untested() -> Iterable[str]:
    """Packages whose installed version nobody has tried with this program."""
    for name, tested in TESTED.items():
        found = version(name)
        if found.split(".")[:2] != tested.split("."):
            yield f"{name} {found} (tested: {tested})"
