"""The composition root: `python -m api.main [--workers N]`.

A single worker is this process. Several workers are child processes; this one supervises them
and does not load the scoring code.
"""

import argparse
import os
import sys

from api.settings import Settings, load_settings
from api.workers.port import bound
from api.workers.worker_context import WorkerContext
from shared.errors import SettingsError
from shared.logs import configure_service_logging, start_failed
from shared.setting_docs import described, help_text
from shared.system.files import keep_files_private


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal ends it; an unusable setting is one line and exit status 2."""
    workers = _parser().parse_args(arguments).workers
    if workers is not None:
        os.environ["API_WORKERS"] = str(workers)
    keep_files_private()
    try:
        settings = load_settings()
        configure_service_logging("api", settings)
        return _serve(settings)
    except SettingsError as error:
        return start_failed("api", error)


def _serve(settings: Settings) -> int:
    if settings.api_workers == 1:
        from api.serving import serve  # noqa: PLC0415 - a supervisor does without

        with bound(settings) as listener:
            serve(settings, WorkerContext(listener=listener))
        return 0
    from api.workers.supervisor import supervise  # noqa: PLC0415

    return supervise(settings, [sys.executable, "-m", "api.workers.worker"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m api.main",
        description="Serve the API. With several workers, this process only supervises them.",
        epilog=help_text(Settings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        help=f"{described(Settings, 'api_workers')} Overrides API_WORKERS.",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
