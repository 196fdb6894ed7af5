"""An audit hook that writes down what the interpreter reports; it cannot be taken back."""

import json
import os
import sys
from pathlib import Path
from typing import Any

WATCHED = ("pickle.find_class", "socket.connect", "subprocess.Popen", "os.system", "os.exec")


def watch(path: Path) -> None:
    """Report from here on; the hook may not use anything that reports itself."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def seen(event: str, arguments: tuple[Any, ...]) -> None:
        if event in WATCHED:
            told = [str(argument) for argument in arguments]
            os.write(file, json.dumps({"event": event, "arguments": told}).encode() + b"\n")

    sys.addaudithook(seen)
