"""The composition root: `python -m api.main [--workers N]`.

One worker is this very process. Several are processes of their own, and this one only
watches them, so it loads nothing that scores.
"""

import argparse
import os
import sys

from api.settings import Settings, load_settings
from api.workers.place import Place
from api.workers.port import bound
from shared.errors import SettingsError
from shared.logs import configure_logging
from shared.private_files import keep_files_private


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; a setting that cannot be used ends it with one line."""
    workers = _parser().parse_args(arguments).workers
    if workers is not None:
        os.environ["API_WORKERS"] = str(workers)
    keep_files_private()
    try:
        settings = load_settings()
        configure_logging(
            "api", settings.log_level, settings.log_format, settings.log_file, settings.log_limits
        )
        return _serve(settings)
    except SettingsError as error:
        print(f"api: {error}", file=sys.stderr)  # noqa: T201 - before or instead of the log
        return 2


def _serve(settings: Settings) -> int:
    if settings.api_workers == 1:
        from api.serving import serve  # noqa: PLC0415 - a supervisor does without

        with bound(settings) as listener:
            serve(settings, Place(listener=listener))
        return 0
    from api.workers.supervisor import supervise  # noqa: PLC0415

    return supervise(settings, [sys.executable, "-m", "api.workers.worker"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m api.main", description=__doc__)
    parser.add_argument(
        "--workers",
        metavar="N",
        help="processes that score, on one port; instead of API_WORKERS",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
