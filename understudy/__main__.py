"""The entry point of the command line: `understudy`, or `python -m understudy`."""

import gc

from shared.system.collector import no_collection


def main() -> None:
    """Run a command."""
    with no_collection():
        from understudy.cli import main as run  # noqa: PLC0415 - within the block: it costs less

    # What was imported stays until the end, and is not searched then either.
    gc.freeze()
    run()


if __name__ == "__main__":
    main()
