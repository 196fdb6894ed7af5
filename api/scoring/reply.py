"""What leaves: the bytes of an answer, and the version that made it."""

from dataclasses import dataclass

from api.http.headers import JSON_HEADERS, RawHeaders


@dataclass(frozen=True, slots=True)
class EncodedReply:
    """An answer; `lines` are the headers of one that another worker made, as they came."""

    body: bytes
    version: str
    status: int = 200
    lines: bytes | None = None

    def headers(self) -> RawHeaders:
        if self.lines is None:
            return [*JSON_HEADERS, (b"x-model-version", self.version.encode())]
        pairs = (line.split(b": ", 1) for line in self.lines.split(b"\r\n") if line)
        return [(name, value) for name, value in pairs]
