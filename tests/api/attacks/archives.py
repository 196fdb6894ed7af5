"""Archives that are not what a bundle is; all of them are signed with the trusted key."""

import io
import json
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from shared.bundle.archive import MAX_ENTRIES, pack
from tests.api.attacks.graphs import VERSION
from tests.api.bundles import graph, manifest

Entry = tuple[zipfile.ZipInfo | str, bytes]
NAMES: Mapping[str, str] = {
    "climbs out": "../../evil",
    "climbs out from a folder": "a/../../evil",
    "is absolute": "/etc/cron.d/evil",
    "has a backslash": "..\\evil",
    "names a drive": "c:evil",
    "is not normal": "./a//b",
    "is a folder": "folder/",
    "has a line break": "card\r\nX-Evil: 1",
    "is not ASCII": "c\u0430rd.md",
    "is the home of somebody": "~/../.ssh/authorized_keys",
}
VERSIONS: Mapping[str, Any] = {
    "climbs out": "../../x",
    "is escaped": "1.0.0%2e",
    "is a megabyte long": "1" * 1_000_000,
    "has a line break": "1.0.9\n",
    "is absolute": "/etc/passwd",
    "has digits of another script": "1.0.\u0669",
    "has leading zeros": "01.0.9",
    "has a suffix": "1.0.9-rc1",
    "is empty": "",
    "is a number": 1.09,
    "is a list": ["1.0.9"],
    "ends in a NUL": "1.0.9\0",
}


def good() -> bytes:
    return pack(manifest(VERSION), {"model.onnx": graph(VERSION), "card.md": b"# tiny\n"})


def with_graph(raw: bytes, path: str = "model.onnx") -> bytes:
    """A bundle whose digests are right and whose graph is this."""
    return pack(manifest(VERSION), {"model.onnx": graph(VERSION), path: raw})


def entries(raw: bytes) -> list[Entry]:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return [(entry, archive.read(entry)) for entry in archive.infolist()]


def zipped(contents: list[Entry]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about names that stand twice
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for entry, data in contents:
                archive.writestr(entry, data)
    return buffer.getvalue()


def with_manifest(change: Callable[[dict[str, Any]], object]) -> bytes:
    """The good bundle with another manifest; the digests in it still hold."""
    (name, data), *rest = entries(good())
    told = json.loads(data)
    change(told)
    return zipped([(name, json.dumps(told).encode()), *rest])


def with_raw_manifest(data: bytes) -> bytes:
    (name, _), *rest = entries(good())
    return zipped([(name, data), *rest])


def _special(mode: int, name: str = "card.md") -> bytes:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    kept = [entry for entry in entries(good()) if _name(entry) != name]
    return zipped([*kept, (info, b"/etc/passwd")])


def _name(entry: Entry) -> str:
    return entry[0] if isinstance(entry[0], str) else entry[0].filename


def _compressed(size: int) -> bytes:
    info = zipfile.ZipInfo("card.md")
    info.compress_type = zipfile.ZIP_DEFLATED
    kept = [entry for entry in entries(good()) if _name(entry) != "card.md"]
    return zipped([*kept, (info, bytes(size))])


def _without(*names: str) -> bytes:
    return zipped([entry for entry in entries(good()) if _name(entry) not in names])


def _patched(offset_in_directory: int, value: bytes) -> bytes:
    """The first entry of the central directory with other bytes at an offset."""
    raw = bytearray(good())
    at = raw.rindex(b"PK\x05\x06")
    start = struct.unpack_from("<I", raw, at + 16)[0] + offset_in_directory
    raw[start : start + len(value)] = value
    return bytes(raw)


def _overlapping() -> bytes:
    """Two entries of the directory that point to the bytes of one."""
    raw = bytearray(good())
    at = raw.rindex(b"PK\x05\x06")
    first = struct.unpack_from("<I", raw, at + 16)[0]
    second = raw.index(b"PK\x01\x02", first + 4)
    raw[second + 42 : second + 46] = raw[first + 42 : first + 46]
    return bytes(raw)


def archives() -> Iterator[tuple[str, bytes]]:
    raw = good()
    for name, path in NAMES.items():
        yield f"an entry whose name {name}", zipped([*entries(raw), (path, b"x")])
    # by hand: the library cuts such a name when it writes and when it reads
    yield (
        "an entry whose name goes on behind a NUL",
        zipped([*entries(raw), ("evil.txt_.sh", b"x")]).replace(b"evil.txt_.sh", b"evil.txt\0.sh"),
    )
    yield "an entry that is a symbolic link", _special(stat.S_IFLNK | 0o777)
    yield "an entry that is a device", _special(stat.S_IFCHR | 0o666)
    yield "an entry that is a pipe", _special(stat.S_IFIFO | 0o666)
    yield "a name that stands twice", zipped([*entries(raw), ("card.md", b"# other\n")])
    yield "names that differ by case", zipped([*entries(raw), ("MODEL.onnx", graph(VERSION))])
    yield "a file that the manifest does not name", zipped([*entries(raw), ("extra.so", b"x")])
    yield "a file of the manifest that is missing", _without("card.md")
    yield "no manifest", _without("manifest.json")
    yield (
        "a file that is not what its digest says",
        zipped([*entries(_without("card.md")), ("card.md", b"# other\n")]),
    )
    yield "an entry that is compressed a thousandfold", _compressed(10_000_000)
    yield "an entry that is said to be encrypted", _patched(8, b"\x01\x00")
    yield "an entry that claims four gigabytes", _patched(20, b"\xfe\xff\xff\xff\xfe\xff\xff\xff")
    yield "entries that share their bytes", _overlapping()
    many: list[Entry] = [(f"f{number}", b"") for number in range(MAX_ENTRIES)]
    yield "more entries than a bundle has", zipped([*entries(raw), *many])
    yield "half an archive", raw[: len(raw) // 2]
    yield "no archive", b"#!/bin/sh\nrm -rf /\n"
    yield "nothing", b""


def manifests() -> Iterator[tuple[str, bytes]]:
    for name, version in VERSIONS.items():
        yield f"a version that {name}", with_manifest(lambda m, v=version: m.update(version=v))  # type: ignore[misc]
    yield (
        "a parent version that climbs out",
        with_manifest(lambda m: m.update(parent_version="../../x")),
    )
    yield "a manifest with a member too many", with_manifest(lambda m: m.update(run="rm -rf /"))
    yield "a manifest of another format", with_manifest(lambda m: m.update(format_version=99))
    yield (
        "a manifest with a NaN in it",
        with_manifest(lambda m: m.update(thresholds={"review": float("nan")})),
    )
    yield "a manifest that nests without end", with_raw_manifest(b"[" * 500_000)
    yield "a manifest of two megabytes", with_raw_manifest(b" " * 2_000_000 + b"{}")
    yield "a manifest in another encoding", with_raw_manifest('{"a": "\u00e9"}'.encode("utf-16"))
