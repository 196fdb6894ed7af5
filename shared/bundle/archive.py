"""Packing and unpacking: a zip without compression whose every entry is accounted for.

Nothing is ever extracted to disk by the names inside; entries are read into memory only
after the whole directory of the archive has been found harmless.
"""

import hashlib
import io
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType

from pydantic import ValidationError

from shared.bundle.graph import SUFFIX, check_graph
from shared.bundle.manifest import FORMAT_VERSION, Manifest
from shared.errors import BundleMalformed, BundleTooLarge, DigestMismatch

MANIFEST = "manifest.json"
# A fused graph of a few hundred trees takes some megabytes; this allows a hundred times as much.
MAX_BUNDLE_BYTES = 256 * 1024 * 1024
MAX_ENTRIES = 64
MAX_MANIFEST_BYTES = 1024 * 1024
# A fixed date in the archive: the same content gives the same bytes and the same signature.
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Bundle:
    """An unpacked bundle whose digests hold; `sha256` is that of the raw bytes."""

    manifest: Manifest
    files: Mapping[str, bytes]
    sha256: str


def pack(manifest: Manifest, files: Mapping[str, bytes]) -> bytes:
    """Make the bundle's bytes; the manifest's `files` is filled in here."""
    digests = {path: hashlib.sha256(data).hexdigest() for path, data in sorted(files.items())}
    complete = manifest.model_copy(update={"files": digests})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry(MANIFEST), complete.model_dump_json(indent=2).encode())
        for path in sorted(files):
            archive.writestr(_entry(path), files[path])
    return buffer.getvalue()


def unpack(raw: bytes, max_bytes: int = MAX_BUNDLE_BYTES) -> Bundle:
    """Read a bundle whose signature has already been verified.

    Raises:
        BundleTooLarge: more bytes or entries than the limits allow.
        BundleMalformed: not such an archive, an unsafe or unknown entry, a bad manifest, or a
            graph that is more than computation.
        DigestMismatch: an entry is not what the manifest says it is.
    """
    if len(raw) > max_bytes:
        raise BundleTooLarge(f"the bundle has {len(raw)} bytes; the limit is {max_bytes}")
    contents = _read_entries(raw, max_bytes)
    manifest = _parse_manifest(contents.pop(MANIFEST, None))
    _check_digests(manifest, contents)
    for path, data in contents.items():
        if path.casefold().endswith(SUFFIX):
            check_graph(path, data)
    return Bundle(manifest, MappingProxyType(contents), hashlib.sha256(raw).hexdigest())


def _entry(path: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(path, _EPOCH)
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    return info


def _read_entries(raw: bytes, max_bytes: int) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            entries = archive.infolist()
            _check_directory(entries, max_bytes)
            return {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, ValueError) as error:
        raise BundleMalformed(f"not a readable archive: {error}") from error


def _check_directory(entries: list[zipfile.ZipInfo], max_bytes: int) -> None:
    if len(entries) > MAX_ENTRIES:
        raise BundleTooLarge(f"the bundle has {len(entries)} entries; the limit is {MAX_ENTRIES}")
    # orig_filename includes what zipfile cuts off after a NUL byte
    names = [entry.orig_filename.casefold() for entry in entries]
    if len(set(names)) != len(names):
        raise BundleMalformed("two entries have the same name, or names that differ by case only")
    for entry in entries:
        _check_entry(entry)
    total = sum(entry.file_size for entry in entries)
    if total > max_bytes:
        raise BundleTooLarge(f"the entries claim {total} bytes; the limit is {max_bytes}")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename
    path = PurePosixPath(name)
    unsafe = path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name
    if unsafe or str(path) != name or not name.isascii() or not name.isprintable():
        raise BundleMalformed(f"unsafe entry name {name[:80]!r}")
    file_type = stat.S_IFMT(entry.external_attr >> 16)
    if file_type not in (0, stat.S_IFREG):
        raise BundleMalformed(f"entry {name!r} is not a regular file")
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        raise BundleMalformed(f"entry {name!r} is compressed; bundles are stored")
    if entry.flag_bits & 0x1:
        raise BundleMalformed(f"entry {name!r} is encrypted")


def _parse_manifest(raw: bytes | None) -> Manifest:
    if raw is None:
        raise BundleMalformed(f"the bundle has no {MANIFEST}")
    if len(raw) > MAX_MANIFEST_BYTES:
        raise BundleTooLarge(f"{MANIFEST} has {len(raw)} bytes; the limit is {MAX_MANIFEST_BYTES}")
    try:
        manifest = Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BundleMalformed(f"{MANIFEST}: {field}: {first['msg']}") from error
    if manifest.format_version != FORMAT_VERSION:
        raise BundleMalformed(
            f"{MANIFEST}: format_version {manifest.format_version} is not {FORMAT_VERSION}"
        )
    return manifest


def _check_digests(manifest: Manifest, contents: Mapping[str, bytes]) -> None:
    missing = sorted(manifest.files.keys() - contents.keys())
    extra = sorted(contents.keys() - manifest.files.keys())
    if missing or extra:
        raise BundleMalformed(f"files missing: {missing}; files not in the manifest: {extra}")
    for path, data in contents.items():
        if hashlib.sha256(data).hexdigest() != manifest.files[path]:
            raise DigestMismatch(f"{path} does not have the sha256 that the manifest states")
