"""The composition root: `python -m api.main [--workers N]`.

A single worker is this process. Several workers are child processes; this one supervises them
and does not load the scoring code.
"""

import sys

from shared.system.collector import no_collection


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal ends it; returns the exit status."""
    with no_collection():
        from api.launch import launch  # noqa: PLC0415 - within the block, where it costs less

        return launch(arguments)


if __name__ == "__main__":
    sys.exit(main())
