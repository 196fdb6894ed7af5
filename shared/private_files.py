"""Files that hold rows are for the service's user alone: databases, journals, logs, reports."""

import os
from contextlib import suppress
from pathlib import Path

_OTHERS = 0o077
_WORLD = 0o007


def keep_files_private() -> None:
    """From here on this process and its children make files and folders for their own user only.

    Each composition root calls it before it makes any file.
    """
    os.umask(os.umask(_OTHERS) | _OTHERS)


def close_to_others(path: Path) -> None:
    """Take a file that an older version made away from everybody; its group may have a reason.

    Does not open it. One that belongs to somebody else stays as it is.
    """
    with suppress(OSError):
        mode = path.stat().st_mode
        if mode & _WORLD:
            path.chmod(mode & 0o7777 & ~_WORLD)
