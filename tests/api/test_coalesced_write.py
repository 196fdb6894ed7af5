"""Writes after the end of a connection."""

import asyncio
from typing import cast

from api.http.bounded import CoalescingTransport


class EndingTransport:
    """Like uvloop's: a write after the end raises."""

    def __init__(self) -> None:
        self.written = b""
        self.is_at_end = False

    def is_closing(self) -> bool:
        return self.is_at_end

    def write(self, data: bytes) -> None:
        if self.is_at_end:
            raise RuntimeError("the handler is closed")
        self.written += data


def test_what_is_written_after_the_end_is_let_go() -> None:
    ending = EndingTransport()

    async def main() -> None:
        transport = CoalescingTransport(cast(asyncio.Transport, ending))
        transport.write(b"HTTP/1.1 200 OK\r\n\r\n")
        transport.write(b"whole")
        transport.write(b"HTTP/1.1 200 OK\r\n\r\n")
        ending.is_at_end = True
        # the held head is due in the next turn of the loop
        await asyncio.sleep(0)
        transport.write(b"late")

    asyncio.run(main())
    assert ending.written == b"HTTP/1.1 200 OK\r\n\r\nwhole"
