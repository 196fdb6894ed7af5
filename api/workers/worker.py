"""The entry point of a worker: started by the supervisor, on an inherited socket.

python -m api.workers.worker --number 0 --listener FD --parent PID --starts 1
"""

import sys

from api.serving import serve
from api.settings import load_settings
from api.workers.worker_context import read_context
from shared.errors import SettingsError
from shared.logs import configure_service_logging, name_process, start_failed
from shared.system.files import keep_files_private


def main() -> int:
    """Serve until a signal to stop."""
    keep_files_private()
    try:
        settings = load_settings()
        configure_service_logging("api", settings)
        context = read_context(sys.argv[1:])
        name_process(worker=context.number)
        serve(settings, context)
    except SettingsError as error:
        return start_failed("api", error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
