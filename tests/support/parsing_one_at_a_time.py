"""Python code parsed by one thread at a time.

CPython before 3.11.8 keeps the depth of `ast.parse` for all threads together (gh-106905): a thread
that prints a traceback while a failed test is shown ends the whole run with a SystemError.
"""

import ast
import sys
import threading
from functools import wraps


def parse_one_at_a_time() -> None:
    if sys.version_info >= (3, 11, 8):
        return
    lock, parse = threading.RLock(), ast.parse

    @wraps(parse)
    def locked(*arguments: object, **options: object) -> object:
        with lock:
            return parse(*arguments, **options)  # type: ignore[call-overload]

    ast.parse = locked  # type: ignore[assignment]
