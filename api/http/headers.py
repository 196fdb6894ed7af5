"""Headers of answers, also of those that are made without a framework."""

from collections.abc import Iterable

from api.http.problems import MEDIA_TYPE, Problem

RawHeaders = list[tuple[bytes, bytes]]

# Decisions about people must not be cached, and browsers must not guess the media type.
COMMON: tuple[tuple[bytes, bytes], ...] = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)
# Further headers for browsers, on every response but a scored row: no page may frame, embed
# or run it, and links send no Referer.
BROWSER: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
JSON_HEADERS: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"application/json"), *COMMON)


def problem_headers(problem: Problem, version: bytes) -> RawHeaders:
    """Headers of a problem, for answers that are made without a framework."""
    own = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    return [
        (b"content-type", MEDIA_TYPE.encode()),
        *COMMON,
        *BROWSER,
        (b"x-model-version", version),
        *own,
    ]


def rendered(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers as the lines of an answer's head."""
    return b"".join([b"".join((name, b": ", value, b"\r\n")) for name, value in headers])


def no_version() -> bytes:
    """The default of the version header: no version is live, or none is known here."""
    return b"none"


def last_answer(problem: Problem, version: bytes, common: Iterable[tuple[bytes, bytes]]) -> bytes:
    """All of a connection's last answer but its first line."""
    body = problem.render()
    own = [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    return rendered([*common, *problem_headers(problem, version), *own]) + b"\r\n" + body
