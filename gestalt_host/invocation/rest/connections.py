"""The connections of one plugin: kept for a few seconds after an answer, and used again by the next request there.

The client library's own pool looks at every connection for every request, which with 64 of them costs more than the
requests do; here each request looks at one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict

import httpcore

from gestalt_host.invocation.rest.dialling import AnswerStream, CheckedDialling

IDLE_S = 5.0
"""For which a connection is kept; many servers keep theirs as long."""
MOST_IDLE = 64
Origin = tuple[bytes, bytes, int]


class Exchange:
    """A request and its answer, whose body is still to be read. ``close`` ends it, read or not."""

    def __init__(self, connections: Connections, connection: httpcore.AsyncHTTPConnection, origin: Origin) -> None:
        self._connections = connections
        self._connection = connection
        self._origin = origin
        self.response: httpcore.Response

    async def close(self) -> None:
        """End it. The connection is kept where the answer has been read whole."""
        try:
            await self.response.aclose()
        finally:
            await self._connections.give_back(self._connection, self._origin)


class UsedConnectionEnded(Exception):
    """A connection that had served before ended without an answer: the other side may have closed it meanwhile."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Connections:
    """Opens, keeps and closes connections.

    Args:
        dialling: How addresses are chosen.
        trust: Which certificates are trusted.
    """

    def __init__(self, dialling: CheckedDialling, trust: ssl.SSLContext | None, *, idle_s: float = IDLE_S) -> None:
        self._dialling = dialling
        self._trust = trust
        self._idle_s = idle_s
        self._idle: defaultdict[Origin, list[httpcore.AsyncHTTPConnection]] = defaultdict(list)
        self._busy: set[httpcore.AsyncHTTPConnection] = set()
        self._sweeping: asyncio.Task[None] | None = None

    async def exchange(self, request: httpcore.Request) -> Exchange:
        """Send a request and return its exchange when the answer's headers have come.

        Raises:
            NotDialled: the rules refuse the host's addresses.
            UsedConnectionEnded: a new connection may carry the request.
            httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException: there is no answer.
        """
        target = request.url.origin
        origin = target.scheme, target.host, target.port
        connection = await self._kept(origin)
        is_used = connection is not None
        if connection is None:
            connection = httpcore.AsyncHTTPConnection(
                target, ssl_context=self._trust, keepalive_expiry=self._idle_s, network_backend=self._dialling
            )
        self._busy.add(connection)
        exchange = Exchange(self, connection, origin)
        try:
            exchange.response = await connection.handle_async_request(request)
        except BaseException as error:
            self._busy.discard(connection)
            await connection.aclose()
            if is_used and isinstance(error, httpcore.NetworkError | httpcore.RemoteProtocolError):
                raise UsedConnectionEnded(error) from error
            raise
        stream = exchange.response.extensions["network_stream"]
        if isinstance(stream, AnswerStream):
            stream.head_is_read()
        return exchange

    async def give_back(self, connection: httpcore.AsyncHTTPConnection, origin: Origin) -> None:
        """Keep a connection that is free again, or close it."""
        was_open = connection in self._busy
        self._busy.discard(connection)
        if not was_open or not connection.is_idle() or sum(map(len, self._idle.values())) >= MOST_IDLE:
            await connection.aclose()
            return
        self._idle[origin].append(connection)
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.create_task(self._sweep(), name="closing idle connections")

    async def close(self) -> None:
        """Close all; an exchange that is on its way fails."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        connections = [*self._busy, *(one for kept in self._idle.values() for one in kept)]
        self._busy.clear()
        self._idle.clear()
        for connection in connections:
            await connection.aclose()

    async def _kept(self, origin: Origin) -> httpcore.AsyncHTTPConnection | None:
        """Return the connection to an origin that was used last, if the other side has not closed it."""
        kept = self._idle.get(origin, [])
        while kept:
            connection = kept.pop()
            if not connection.has_expired():
                return connection
            await connection.aclose()
        return None

    async def _sweep(self) -> None:
        """Close what nobody has used for a while, until nothing is kept."""
        while self._idle:
            await asyncio.sleep(self._idle_s)
            for origin, kept in list(self._idle.items()):
                ended = [connection for connection in kept if connection.has_expired()]
                kept[:] = [connection for connection in kept if connection not in ended]
                if not kept:
                    del self._idle[origin]
                for connection in ended:
                    await connection.aclose()
