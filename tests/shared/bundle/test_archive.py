import io
import stat
import zipfile
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bundle.archive import MAX_ENTRIES, pack, unpack
from shared.bundle.manifest import Manifest
from shared.errors import BundleError, BundleMalformed, BundleTooLarge, DigestMismatch


def rewrite(raw: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    """The same archive with other contents, as an attacker without the key would make it."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        contents = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    change(contents)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def with_entry(raw: bytes, info: zipfile.ZipInfo | str, data: bytes = b"x") -> bytes:
    buffer = io.BytesIO(raw)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(info, data)
    return buffer.getvalue()


def drop_card(contents: dict[str, bytes]) -> None:
    del contents["card.md"]


def test_what_was_packed_comes_back_whole(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    bundle = unpack(pack(manifest, files))
    assert dict(bundle.files) == dict(files)
    assert bundle.manifest.version == manifest.version


def test_the_same_content_gives_the_same_bytes(
    manifest: Manifest, files: Mapping[str, bytes]
) -> None:
    backwards = {path: files[path] for path in sorted(files, reverse=True)}
    assert pack(manifest, files) == pack(manifest, backwards)


def test_a_file_that_was_changed_does_not_match_its_digest(
    manifest: Manifest, files: Mapping[str, bytes]
) -> None:
    raw = rewrite(pack(manifest, files), lambda c: c.update({"card.md": b"# other\n"}))
    with pytest.raises(DigestMismatch, match=r"card\.md"):
        unpack(raw)


def test_a_missing_and_an_extra_file_are_named(
    manifest: Manifest, files: Mapping[str, bytes]
) -> None:
    raw = pack(manifest, files)
    with pytest.raises(BundleMalformed, match=r"card\.md"):
        unpack(rewrite(raw, drop_card))
    with pytest.raises(BundleMalformed, match=r"extra\.bin"):
        unpack(with_entry(raw, "extra.bin"))


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "a/../../evil", "a\\b", "c:evil", "./x", "a//b", "caf\u00e9"]
)
def test_an_unsafe_entry_name_is_refused(
    manifest: Manifest, files: Mapping[str, bytes], name: str
) -> None:
    with pytest.raises(BundleMalformed):
        unpack(with_entry(pack(manifest, files), name))


def test_a_symbolic_link_is_refused(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(BundleMalformed, match="regular file"):
        unpack(with_entry(pack(manifest, files), link, b"/etc/passwd"))


def test_names_that_differ_by_case_only_are_refused(
    manifest: Manifest, files: Mapping[str, bytes]
) -> None:
    with pytest.raises(BundleMalformed, match="case"):
        unpack(with_entry(pack(manifest, files), "MODEL.onnx"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_refused(
    manifest: Manifest, files: Mapping[str, bytes]
) -> None:
    with pytest.raises(BundleMalformed, match="same name"):
        unpack(with_entry(pack(manifest, files), "card.md"))


def test_a_compressed_entry_is_refused_before_it_is_inflated(
    manifest: Manifest, files: Mapping[str, bytes]
) -> None:
    bomb = zipfile.ZipInfo("bomb")
    bomb.compress_type = zipfile.ZIP_DEFLATED
    with pytest.raises(BundleMalformed, match="compressed"):
        unpack(with_entry(pack(manifest, files), bomb, bytes(10_000_000)))


def test_too_many_bytes_or_entries_are_refused(
    manifest: Manifest, files: Mapping[str, bytes]
) -> None:
    raw = pack(manifest, files)
    with pytest.raises(BundleTooLarge):
        unpack(raw, max_bytes=len(raw) - 1)
    many = {f"f{i}": b"" for i in range(MAX_ENTRIES)}
    with pytest.raises(BundleTooLarge, match="entries"):
        unpack(pack(manifest, many))


def test_a_manifest_that_does_not_fit_names_the_field(
    manifest: Manifest, files: Mapping[str, bytes]
) -> None:
    raw = rewrite(
        pack(manifest, files),
        lambda c: c.update({"manifest.json": c["manifest.json"].replace(b'"1.0.0"', b'"1.0"')}),
    )
    with pytest.raises(BundleMalformed, match="version"):
        unpack(raw)


def test_a_bundle_of_another_format_version_is_refused(
    manifest: Manifest, files: Mapping[str, bytes]
) -> None:
    with pytest.raises(BundleMalformed, match="format_version"):
        unpack(pack(manifest.model_copy(update={"format_version": 2}), files))


@given(cut=st.floats(0, 1), flip=st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_damaged_bytes_never_raise_anything_but_a_bundle_error(cut: float, flip: int) -> None:
    raw = bytearray(rewrite(b"PK\x05\x06" + bytes(18), lambda c: c.update({"a": b"abc"})))
    position = int(cut * (len(raw) - 1))
    raw[position] ^= 1 << flip
    for damaged in (bytes(raw), bytes(raw[:position])):
        with pytest.raises(BundleError):
            unpack(damaged)
