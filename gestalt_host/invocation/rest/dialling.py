"""Connecting to the address that was checked, whatever the name stands for a moment later.

The name stays that of TLS: the certificate is checked for it.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress

import httpcore

from gestalt_host.invocation.rest.egress import EgressRules
from gestalt_host.packages.downloads.urls import Address, address_of

MOST_LOOKUPS = 8
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
                return await self._sockets.connect_tcp(str(address), port, timeout, local_address, socket_options)
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
