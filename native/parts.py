"""Parts: optional fast paths that depend on undocumented behaviour of a package or the system.

A part is checked once, when it is first needed, and never again: against the versions that its
contract tests have passed with, and by its own probe. Where the check fails, the caller takes the
fallback, and one line is logged.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType

import structlog

SWITCH = "NATIVE_PARTS_OFF"
"""The environment variable that names parts not to use, separated by commas, or `all`."""

ALL = "all"
Probe = Callable[[], str | None]
_NO_VERSIONS: Mapping[str, tuple[str, ...]] = MappingProxyType({})
_log = structlog.get_logger()


def installed(package: str) -> str:
    """The version of an installed package; "none" where there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _switched_off() -> str:
    return os.environ.get(SWITCH, "")


class Part:
    """One coupling; safe for threads.

    Args:
        name: as in the switch, the log, the gauge and docs/couplings.md.
        tested: package to the versions known good, as prefixes: "0.68" covers 0.68.1.
        without: what is lost with the fallback.
        probe: the reason why the part cannot be used here, if there is one.
        versions: looks up an installed version.
        switched_off: reads the switch.
    """

    def __init__(
        self,
        name: str,
        *,
        without: str,
        tested: Mapping[str, tuple[str, ...]] = _NO_VERSIONS,
        probe: Probe | None = None,
        versions: Callable[[str], str] = installed,
        switched_off: Callable[[], str] = _switched_off,
    ) -> None:
        self.name = name
        self.without = without
        self.tested = tested
        self._probe = probe
        self._versions = versions
        self._switched_off = switched_off
        self._lock = threading.Lock()
        self._is_in_use: bool | None = None
        self.reason: str | None = None

    @property
    def was_checked(self) -> bool:
        """True if anything in this process has needed the part."""
        return self._is_in_use is not None

    @property
    def in_use(self) -> bool:
        """True if the part is to be used; decided at the first call."""
        with self._lock:
            if self._is_in_use is None:
                self._decide(self._objection())
            return bool(self._is_in_use)

    def fall_back(self, reason: str) -> None:
        """Take the fallback from now on, because the part failed where it was used."""
        with self._lock:
            if self._is_in_use is not False:
                self._decide(reason)

    def _decide(self, reason: str | None) -> None:
        self.reason = reason
        self._is_in_use = reason is None
        if reason is not None:
            _warn("native_part_not_in_use", part=self.name, reason=reason, effect=self.without)

    def _objection(self) -> str | None:
        if {self.name, ALL} & {name.strip() for name in self._switched_off().split(",")}:
            return f"{SWITCH} names it"
        for package, prefixes in self.tested.items():
            found = self._versions(package)
            if not any(_covers(prefix, found) for prefix in prefixes):
                return f"{package} {found} is untested (tested: {', '.join(prefixes)})"
        return None if self._probe is None else self._probe()


def _warn(event: str, **values: str) -> None:
    """Writes to the log, or to standard error without one: a parent may read the output."""
    values["remedy"] = "see docs/couplings.md"
    if structlog.is_configured():
        _log.warning(event, **values)
        return
    fields = " ".join(f"{name}={value!r}" for name, value in values.items())
    sys.stderr.write(f"{event} {fields}\n")


def _covers(prefix: str, found: str) -> bool:
    return found == prefix or found.startswith(f"{prefix}.")


def unknown_names(switch: str, known: Iterable[str]) -> list[str]:
    """Names in a switch's value that no part has."""
    named = {name.strip() for name in switch.split(",") if name.strip()}
    return sorted(named - {ALL, *known})
