"""The entry point of a worker: started by the supervisor, on an inherited socket.

python -m api.workers.worker --number 0 --listener FD --parent PID --starts 1
"""

import sys

from shared.system.collector import no_collection


def main() -> int:
    """Serve until a signal to stop; returns the exit status."""
    with no_collection():
        from api.launch import launch_worker  # noqa: PLC0415 - within the block: it costs less

        return launch_worker(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
