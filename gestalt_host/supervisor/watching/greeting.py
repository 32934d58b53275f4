"""Whether a process serves its socket, asked without any service of it.

A server of HTTP/2, and so of gRPC, in whatever language, greets each connection with a SETTINGS frame. In most
libraries threads of their own do that, so a process whose event loop or workers are all busy still greets; one that was
stopped, or in which nothing runs any more, does not.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

AGAIN_S = 0.5
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""What a client begins a connection with: the fixed text, and a SETTINGS frame without a setting (RFC 9113, 3.4)."""
_FRAME_HEADER_BYTES, _TYPE_BYTE, _SETTINGS = 9, 3, 4


async def greeted(path: Path) -> None:
    """Return when the server behind the socket has greeted a new connection, however long that takes.

    A socket whose file is gone cannot be asked, which says nothing of the process; then it returns at once.
    """
    while True:
        try:
            if await _greeted_once(path):
                return
        except FileNotFoundError:
            return
        except (OSError, EOFError):
            pass  # Nobody accepts connections, or this one was dropped.
        await asyncio.sleep(AGAIN_S)


async def _greeted_once(path: Path) -> bool:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(_PREFACE)
        frame = await reader.readexactly(_FRAME_HEADER_BYTES)
        return frame[_TYPE_BYTE] == _SETTINGS
    finally:
        writer.close()
