"""Compiles what a use case and explanations call, so that no start and no request has to.

`make run` and the images call it after the installation: `python -m usecases.precompile`.
"""

import sys
import time
from collections.abc import Callable

import usecases
from shared import explain


def main() -> int:
    """The exit status: 0; what cannot be compiled now is compiled at the first start."""
    serving = usecases.load_serving(usecases.DEFAULT)
    # optional: a use case that compiles the same for every database has `warm_up` only
    _timed("what scoring calls", getattr(serving, "precompile", serving.warm_up))
    _timed("what explanations call", explain.warm_up)
    try:
        learning = usecases.load_learning(usecases.DEFAULT)
    except ModuleNotFoundError:
        return 0  # an image of the API has no training libraries
    warm_up: Callable[[], None] | None = getattr(learning, "warm_up", None)
    if warm_up is not None:
        _timed("what training calls", warm_up)
    return 0


def _timed(what: str, work: Callable[[], None]) -> None:
    sys.stdout.write(f"compiling {what} ... ")
    sys.stdout.flush()
    began, used = time.monotonic(), time.process_time()
    work()
    seconds, used = time.monotonic() - began, time.process_time() - used
    sys.stdout.write(f"{seconds:.0f} s ({used:.0f} s of a processor here)\n")


if __name__ == "__main__":
    sys.exit(main())
