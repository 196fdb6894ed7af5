"""Checks of a request's head and its body's framing; a refusal names the remedy."""

from collections.abc import Sequence

from api.http.connections import Bounds
from api.http.problems import (
    ADDRESS_TOO_LONG,
    HEADERS_TOO_LARGE,
    MALFORMED,
    WRONG_HOST,
    Problem,
    ProblemKind,
)
from shared.host_names import Hosts

Headers = Sequence[tuple[bytes, bytes]]
# After one of these the parser treats the body as another protocol, or as the next request:
# request smuggling.
NO_UPGRADE = "send the request without Upgrade and CONNECT: this server speaks only HTTP/1.1"
# colon, space, CR and LF of a header line
_LINE_BYTES = 4


class HeadRefused(Exception):
    """Raised inside of the parser's callbacks; ends the parsing."""

    def __init__(self, kind: ProblemKind, detail: str) -> None:
        super().__init__(detail)
        self.problem = Problem(kind, detail)


def check_half_head(url: bytes, headers: int, size: int, bounds: Bounds) -> None:
    """A head that is not all here: what the parser has reported of it, and its bytes so far."""
    if len(url) > bounds.address_bytes:
        raise _too_long(bounds)
    if size > bounds.head_bytes or headers > bounds.headers:
        raise _too_large(bounds)


def check_head(url: bytes, headers: Headers, version: str, bounds: Bounds) -> None:
    """Sizes and version of a whole head."""
    if len(url) > bounds.address_bytes:
        raise _too_long(bounds)
    sizes = [len(name) + len(value) + _LINE_BYTES for name, value in headers]
    if (
        len(sizes) > bounds.headers
        or sum(sizes) + len(url) > bounds.head_bytes
        or max(sizes, default=0) > bounds.header_bytes
    ):
        raise _too_large(bounds)
    if version not in ("1.0", "1.1"):
        raise HeadRefused(MALFORMED, "send HTTP/1.1")


def check_host(url: bytes, headers: Headers, hosts: Hosts) -> None:
    """One host, the same wherever it is named, and one of ours."""
    named = [value for name, value in headers if name == b"host"]
    host = named[0] if named else b""
    if len(named) > 1:
        raise HeadRefused(MALFORMED, "send one Host header")
    if not url.startswith(b"/") and url.partition(b"//")[2].partition(b"/")[0] != host:
        raise HeadRefused(MALFORMED, "send the path alone, or the same host in both places")
    if not hosts.allows(host):
        shown = host[:100].decode("latin-1")
        remedy = f"ALLOWED_HOSTS: add {shown!r} if callers are to use that name"
        raise HeadRefused(WRONG_HOST, remedy)


def has_chunks(headers: Headers, version: str) -> bool:
    """True if the body is chunked, the only transfer coding that is accepted."""
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if not codings:
        return False
    if len(codings) > 1 or codings[0].strip().lower() != b"chunked":
        raise HeadRefused(MALFORMED, "the only Transfer-Encoding read here is chunked")
    if version != "1.1":
        raise HeadRefused(MALFORMED, "HTTP/1.0 has no Transfer-Encoding; send Content-Length")
    return True


class ChunkMeter:
    """The overhead of a chunked body: sizes, extensions, trailers."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._framing = self._stalled = 0
        self._has_body = False

    def body(self, size: int) -> None:
        """The part of the fed bytes that belongs to the body."""
        self._framing -= size
        self._has_body = True

    def fed(self, size: int, body_bytes: int) -> None:
        """Account for data that was fed to the parser; the body has `body_bytes` by now."""
        self._framing += size
        self._stalled = 0 if self._has_body else self._stalled + size
        self._has_body = False
        if self._stalled > self._limit or self._framing > self._limit + body_bytes:
            raise HeadRefused(MALFORMED, "the chunks hold more framing than body; send larger ones")


def _too_long(bounds: Bounds) -> HeadRefused:
    return HeadRefused(ADDRESS_TOO_LONG, f"an address has at most {bounds.address_bytes} bytes")


def _too_large(bounds: Bounds) -> HeadRefused:
    detail = (
        f"send at most {bounds.headers} headers, {bounds.head_bytes} bytes in all and "
        f"{bounds.header_bytes} bytes in one"
    )
    return HeadRefused(HEADERS_TOO_LARGE, detail)
