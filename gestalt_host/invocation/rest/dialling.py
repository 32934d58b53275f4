"""Connecting to the address that was checked, whatever the name stands for a moment later.

The name stays that of TLS: the certificate is checked for it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import httpcore

from gestalt_host.invocation.rest.egress import EgressRules
from gestalt_host.packages.downloads.urls import Address, address_of

MOST_LOOKUPS = 8
MOST_HEAD_BYTES = 100 * 1024
"""Of an answer's headers, as the client library has it too."""
MOST_INTERIM = 16
TOO_LONG = "Receive buffer too long"
"""The library's words."""
TOO_MANY_INTERIM = "too many interim answers"
_READ_OF_HEAD = 4096
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses of a name; raises ``OSError``."""


class NotDialled(Exception):
    """No address of the host may be dialled; the text says why."""


class CheckedDialling(httpcore.AsyncNetworkBackend):
    """Resolves a name once for each connection and dials those of its addresses that the rules let through."""

    def __init__(self, rules: EgressRules, resolve: Resolve) -> None:
        self._rules = rules
        self._resolve = resolve
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Return a connection to the first address that answers; ``timeout`` is for each.

        Raises:
            NotDialled: the rules refuse all addresses.
            httpcore.ConnectError, httpcore.ConnectTimeout: the name is not known, or no address answers.
        """
        refusal, failure = "", None
        for address in await self._addresses(host, port):
            if reason := self._rules.refusal_of_address(host, address):
                refusal = refusal or reason
                continue
            try:
                stream = await self._sockets.connect_tcp(str(address), port, timeout, local_address, socket_options)
                return AnswerStream(stream)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = failure or error
        if failure is not None:
            raise failure
        raise NotDialled(refusal)

    async def _addresses(self, host: str, port: int) -> list[Address]:
        literal = address_of(host)
        if literal is not None:
            return [literal]
        try:
            found = await self._resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = [address for text in found if (address := address_of(text)) is not None]
        if not addresses:
            raise httpcore.ConnectError("no addresses") from socket.gaierror(socket.EAI_NONAME, "it has no address")
        return list(dict.fromkeys(addresses))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class AnswerStream(httpcore.AsyncNetworkStream):
    """A connection that reads no more of an answer's head, interim answers (1xx) before it included, than is accepted.

    The client library reads interim answers for as long as they come, and all that one read brings without giving
    others their turn.
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._is_head = True
        self._size = self._ends = 0

    def head_is_read(self) -> None:
        """Note that a body follows: of any size, and in large parts."""
        self._is_head = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if not self._is_head:
            return await self._stream.read(max_bytes, timeout)
        if self._ends > MOST_INTERIM:
            raise httpcore.RemoteProtocolError(TOO_MANY_INTERIM)
        if self._size > MOST_HEAD_BYTES:
            raise httpcore.RemoteProtocolError(TOO_LONG)
        data = await self._stream.read(min(max_bytes, _READ_OF_HEAD), timeout)
        self._size += len(data)
        self._ends += data.count(b"\n\r\n") + data.count(b"\n\n")
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._is_head = True
        self._size = self._ends = 0
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return AnswerStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class Resolver:
    """Asks the system for addresses in threads of its own, ``MOST_LOOKUPS`` at a time.

    A name server that is slow takes none of the threads that the rest of the host works with, and nobody waits for
    such a thread when the host ends.
    """

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(MOST_LOOKUPS)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a name, best first. Raises ``OSError``."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Sequence[str]] = loop.create_future()

        def settle(addresses: Sequence[str], error: OSError | None) -> None:
            self._free.release()
            if found.done():
                return
            if error is not None:
                found.set_exception(error)
            else:
                found.set_result(addresses)

        def look_up() -> None:
            addresses: Sequence[str] = ()
            failure: OSError | None = None
            try:
                rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                addresses = [str(row[4][0]) for row in rows]
            except OSError as error:
                failure = error
            except UnicodeError:
                failure = socket.gaierror(socket.EAI_NONAME, "it has a label that is too long")
            with suppress(RuntimeError):  # the loop has ended, and with it whoever asked
                loop.call_soon_threadsafe(settle, addresses, failure)

        await self._free.acquire()
        threading.Thread(target=look_up, name="resolver", daemon=True).start()
        return await found
