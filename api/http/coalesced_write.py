"""Head and body of an answer in one write: one system call, one wake-up of the client.

uvicorn writes the head when it has it and the body when it has that. Behind a caller who
waits, each write costs as much as scoring a model.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD, _END_OF_HEAD = b"HTTP/1.1 ", b"\r\n\r\n"


class CoalescedWriteProtocol(HttpToolsProtocol):
    """uvicorn's own protocol over a transport that holds a head back until something follows."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, CoalescingTransport(transport)))


class CoalescingTransport:
    """A transport that joins head and body; all else is passed on to the real one."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._call_soon = asyncio.get_running_loop().call_soon
        self._held = b""

    def write(self, data: bytes) -> None:
        if self._transport.is_closing():
            # uvloop raises here, once a request that is still being answered
            return
        if not self._held and data.startswith(_HEAD) and data.endswith(_END_OF_HEAD):
            self._held = data
            # where no body follows at once: to HEAD, before a slow one, or `100 Continue`
            self._call_soon(self._let_go)
            return
        self._transport.write(self._held + data)
        self._held = b""

    def close(self) -> None:
        self._let_go()
        self._transport.close()

    def _let_go(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            if not self._transport.is_closing():
                self._transport.write(held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
