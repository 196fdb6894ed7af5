"""What leaves: the bytes of an answer and the version that made it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    body: bytes
    version: str
