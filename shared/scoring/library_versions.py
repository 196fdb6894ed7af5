"""Versions of the libraries that a pickled model uses: the trainer's against those installed here.

A pickle stores an object's attributes, not its class: under another minor version of its library
it may load and answer something else. Nothing is unpickled to find out what it uses.
"""

import pickletools
import platform
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, packages_distributions, version

from shared.errors import ModelLoadError

# The file of a bundle that holds the object.
PICKLE = "model.pkl"
_MINOR = re.compile(r"\s*v?(\d+)\.(\d+)")


def used_distributions(raw: bytes) -> set[str]:
    """Installed distributions whose modules a pickle names; may hold more than it really uses."""
    by_module = packages_distributions()
    found: set[str] = set()
    try:
        for _, argument, _ in pickletools.genops(raw):
            if isinstance(argument, str):
                module = re.split(r"[. ]", argument, maxsplit=1)[0]
                found.update(by_module.get(module, ()))
    except Exception:  # noqa: BLE001 - no pickle: loading it says so
        return found
    return found


def library_versions(raw: bytes) -> dict[str, str]:
    """A manifest's record of the libraries that a pickle uses."""
    return {name: version(name) for name in sorted(used_distributions(raw))}


def check_library_versions(raw: bytes, frameworks: Mapping[str, str], python_version: str) -> None:
    """Checks that a pickle may be loaded with these library versions.

    Raises:
        ModelLoadError: names each library of which trainer and server have other minor versions.
    """
    pairs: list[tuple[str, str, str | None]] = [
        ("python", python_version, platform.python_version())
    ]
    trained_with = {_normal(name): text for name, text in frameworks.items()}
    used = {_normal(name) for name in used_distributions(raw)} | _not_installed(raw, trained_with)
    pairs += [
        (name, text, _installed(name))
        for name, text in sorted(trained_with.items())
        if name in used and name != "python"
    ]
    differing = [
        f"{name} {trained} (installed here: {here or 'none'})"
        for name, trained, here in pairs
        if here is None or _minor(trained) != _minor(here)
    ]
    if differing:
        raise ModelLoadError(
            f"the model was trained with {', '.join(differing)}; a pickle needs the same major and "
            "minor versions: install them in the service, or train again with those of the service"
        )


def _not_installed(raw: bytes, trained_with: Mapping[str, str]) -> set[str]:
    """Libraries of the trainer, named like a module of the pickle, that are missing here."""
    missing = {name for name in trained_with if name != "python" and _installed(name) is None}
    return {name for name in missing if name.replace("-", "_").encode() in raw}


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _minor(text: str) -> tuple[str, ...] | str:
    found = _MINOR.match(text)
    return text if found is None else found.groups()
