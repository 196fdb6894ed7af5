"""Starts the service in this process, as a supervisor of workers, or as one of the workers."""

import argparse
import gc
import os
import sys

from api.settings import Settings, load_settings
from api.workers.worker_context import WorkerContext, bound, read_context
from shared.errors import SettingsError
from shared.logs import configure_service_logging, name_process, start_failed
from shared.setting_docs import described, help_text
from shared.system.files import keep_files_private


def launch(arguments: list[str] | None = None) -> int:
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


def launch_worker(arguments: list[str]) -> int:
    """Serve as the worker that the arguments describe, until a signal ends it."""
    from api.serving import serve  # noqa: PLC0415 - see below

    keep_files_private()
    try:
        settings = load_settings()
        configure_service_logging("api", settings)
        context = read_context(arguments)
        name_process(worker=context.number)
        serve(settings, context)
    except SettingsError as error:
        return start_failed("api", error)
    return 0


def _serve(settings: Settings) -> int:
    if settings.api_workers == 1:
        from api.serving import serve  # noqa: PLC0415 - a supervisor does without

        with bound(settings) as listener:
            serve(settings, WorkerContext(listener=listener))
        return 0
    from api.workers.supervisor import supervise  # noqa: PLC0415

    gc.enable()
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
