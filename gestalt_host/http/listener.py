"""Serving an ASGI application on a TCP port: limits of the transport, and a stop that lets requests finish.

uvicorn's connection class does HTTP; this module adds what http-api.md 1.1 and 1.5 ask of the transport (header size
and time, an answer to methods that HTTP does not have) and leaves signals, logging and the event loop to the daemon.
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import time
from collections.abc import Callable
from email.utils import formatdate
from types import TracebackType

import httptools
import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from gestalt_host.http.connections import Capacity, Connections
from gestalt_host.http.headers import RawHeaders, security_headers
from gestalt_host.http.request_ids import new_request_id, request_id_header
from gestalt_host.http.routing import NO_METHOD
from gestalt_host.http.shapes.rendering import error_document
from gestalt_sdk.errors import GestaltError

HEADER_LIMIT_BYTES = 1 << 20
URL_LIMIT_BYTES = 65_535
"""More of a URL cannot be taken apart by the parser, which says nothing of its size."""
HEADER_TIMEOUT_S = 10.0
DISCARD_LIMIT_BYTES = 64 << 20
"""Of a body that nobody reads any more, this much is taken and thrown away: a client that sends it to its end before it
reads would see a reset connection instead of the answer."""
IDLE_TIMEOUT_S = 120
BODY_REST_TIMEOUT_S = 10.0
"""How long the rest of a body may take when the request has been answered already."""
LAST_ANSWER_S = 2.0
"""How long a client may take to read the answer to what was no request."""
TAKE_TIMEOUT_S = 60.0
"""How long a client may take nothing of its answers."""
STALLED_AFTER_S = 2.0
"""From when on a client that takes nothing gives way to others."""
PIECE_BYTES = 4096
"""So much is parsed at once. Of what a client sends ahead of its answers, no more than a piece becomes requests."""

ABORT = "gestalt.abort"
"""Extension of a request's scope; its member ``call`` ends the connection at once, within an answer."""
STOPPING = "gestalt.stopping"
"""Member of the state of a request's scope: an event that is set when the listener cancels what is unfinished."""

_REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64} [^ \r\n]+ HTTP/1\.[01]\r?\n")

log = structlog.get_logger()


class ListenFailed(GestaltError):
    """The address cannot be listened on; the text names it and why."""


class Listener:
    """One listening socket and the connections it accepted; bound on entry of its ``async with``.

    Leaving it closes the socket, lets running requests finish for ``grace_s`` seconds, and then cancels them.
    """

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        *,
        base_url: str = "",
        grace_s: float = 5.0,
        capacity: Capacity | None = None,
    ) -> None:
        """Take the address: a blank ``host`` means every interface, ``port`` 0 picks a free one."""
        self.connections = Connections(capacity or Capacity())
        self._host = host
        self._wanted_port = port
        self._grace_s = grace_s
        self._state = ServerState()
        self._stopping = asyncio.Event()
        self._security_headers = security_headers(base_url)
        self._config = uvicorn.Config(
            app,
            http=ClientConnection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=IDLE_TIMEOUT_S,
        )
        self._config.load()
        self._server: asyncio.Server | None = None
        self.port = 0
        """The port that is listened on."""

    async def __aenter__(self) -> Listener:
        loop = asyncio.get_running_loop()
        backlog = self.connections.capacity.backlog
        bound = _bind(self._host, self._wanted_port, backlog)
        self.port = bound.getsockname()[1]

        def connection() -> asyncio.Protocol:
            return ClientConnection(
                self._config, self._state, self._security_headers, loop, self.connections, self._stopping
            )

        self._server = await loop.create_server(connection, sock=bound, backlog=backlog)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        running = set(self._state.tasks)
        if running:
            _, late = await asyncio.wait(running, timeout=self._grace_s)
            self._stopping.set()
            for task in late:
                task.cancel()
            if late:
                log.warning("requests cut off at the end", event_name="http.cut_off", count=len(late))
                await asyncio.wait(late, timeout=1.0)
        for connection in list(self._state.connections):
            if connection.transport is not None:
                connection.transport.abort()


class ClientConnection(HttpToolsProtocol):
    """One client's connection."""

    def __init__(
        self,
        config: uvicorn.Config,
        state: ServerState,
        fixed_headers: RawHeaders,
        loop: asyncio.AbstractEventLoop,
        places: Connections,
        stopping: asyncio.Event,
    ) -> None:
        super().__init__(config, state, {STOPPING: stopping}, loop)
        self._places = places
        self._fixed_headers = fixed_headers
        self._received = b""
        self._header_bytes = 0
        self._header_timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None
        """Until the rest of a body has come, or the client has read its last answer."""
        self._keep_alive = False
        """Whether the request in progress, once it is here whole, leaves the connection open."""
        self._discarded_bytes = 0
        self._had_last_answer = False
        self._piece = b""
        """What is being parsed."""
        self._without_upgrade = b""
        """What is to be parsed in its place, since it asked for an upgrade."""
        self._sent_ahead = b""
        """What has come behind a request that waits for its turn, and is not parsed yet."""
        self._within_headers = False
        """Whether ``_sent_ahead`` begins within the headers of a request."""
        self._take_timer: asyncio.TimerHandle | None = None
        """While more is written than the client takes."""
        self._stalled_from = 0.0
        self._not_taken_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_headers()
        self._places.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_header_timer()
        self._stop_rest_timer()
        self._stop_take_timer()
        self._sent_ahead = b""
        self._places.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._had_last_answer:
            self._discarded_bytes += len(data)
            if self._discarded_bytes > DISCARD_LIMIT_BYTES:
                self.transport.abort()
            return
        if self._sent_ahead:
            self._sent_ahead += data
            self.flow.pause_reading()
            return
        self._received = data
        for start in range(0, len(data), PIECE_BYTES):
            if self.pipeline:
                self._hold(data[start:])
                break
            self._parse(data[start : start + PIECE_BYTES])
            if self._had_last_answer or self.transport.is_closing():
                break
        self._received = b""
        if self._is_idle and not (self._header_timer or self._rest_timer or self.transport.is_closing()):
            # What came was no request yet; the time that an idle connection has goes on.
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _parse(self, piece: bytes) -> None:
        while piece:
            self._piece, self._without_upgrade = piece, b""
            super().data_received(piece)
            piece = self._without_upgrade

    def _should_upgrade(self) -> bool:
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def handle_websocket_upgrade(self) -> None:
        """Go on without the upgrade that a request asks for. Called while the parser's exception is handled.

        The parser takes what follows for the other protocol's. Here it is the body, which must neither be lost nor be
        read as a request, so the request is parsed again without its Upgrade.
        """
        error = sys.exc_info()[1]
        assert isinstance(error, httptools.HttpParserUpgrade)
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        self._without_upgrade = b"\r\n".join([*lines, b"", b""]) + self._piece[error.args[0] :]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as the one before

    def _hold(self, rest: bytes) -> None:
        """Keep what has come behind a request that waits for its turn. Nothing more is read until then."""
        self._sent_ahead = rest
        self._within_headers = self._header_timer is not None
        self._stop_header_timer()

    def _go_on(self) -> None:
        """Take up what ``_hold`` has kept."""
        rest, self._sent_ahead = self._sent_ahead, b""
        if rest and not self.transport.is_closing():
            if self._within_headers:
                self._expect_headers()
            self.data_received(rest)

    def pause_writing(self) -> None:
        """Note that the client does not take what is written as fast as that."""
        super().pause_writing()
        self._stalled_from = self.loop.time()
        self._await_taking()

    def resume_writing(self) -> None:
        """Note that it has taken most of it."""
        self._stop_take_timer()
        super().resume_writing()

    def _await_taking(self) -> None:
        self._not_taken_bytes = self.transport.get_write_buffer_size()
        self._take_timer = self.loop.call_later(TAKE_TIMEOUT_S, self._check_taking)

    def _check_taking(self) -> None:
        if self.transport.get_write_buffer_size() < self._not_taken_bytes:
            self._await_taking()
            return
        self._take_timer = None
        log.warning(
            "an answer was broken off: its client takes nothing of it",
            event_name="http.broken_off",
            not_taken_bytes=self._not_taken_bytes,
            error=f"no progress within {TAKE_TIMEOUT_S:g} s",
        )
        self.transport.abort()

    def _stop_take_timer(self) -> None:
        if self._take_timer is not None:
            self._take_timer.cancel()
            self._take_timer = None

    @property
    def waits_for_client(self) -> bool:
        """Whether nothing is being done for it: it is idle, its request is not complete, or it takes no answer."""
        return self._is_idle or (self.cycle.more_body and not self.cycle.response_started) or self._is_stalled

    @property
    def _is_stalled(self) -> bool:
        return self._take_timer is not None and self.loop.time() - self._stalled_from > STALLED_AFTER_S

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def give_way(self, text: str) -> None:
        """Answer 503 with the text where a request was begun, and close."""
        if self._take_timer is not None:
            self.transport.abort()  # What was written before it would have to be taken first.
        elif self._is_idle and self.cycle is not None and self._header_timer is None:
            self.transport.close()
        else:
            self._answer_and_close(b"503 Service Unavailable", text)

    def abort(self) -> None:
        """End at once."""
        self.transport.abort()

    def shutdown(self) -> None:
        """Begin the end of the server: what is being done is finished, what has not come whole is not begun."""
        if not self._is_idle and self.waits_for_client:
            self.give_way("the server is stopping; the request was not complete and nothing of it was done")
        else:
            self._keep_alive = False
            super().shutdown()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"call": self.transport.abort}}
        self._header_bytes = 0
        if self._header_timer is None:
            self._expect_headers()

    def on_url(self, url: bytes) -> None:
        self._count_header(len(url))
        super().on_url(url)
        if len(self.url) > URL_LIMIT_BYTES:
            raise ValueError("URL too long")  # ends as in ``_count_header``

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_header(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._should_upgrade():
            return
        self._stop_header_timer()
        self._set_date()
        super().on_headers_complete()
        # An answer that is given before the body is here whole ends the connection. What of the body still comes could
        # not be told from a next request where the client waits with it for 100 Continue.
        self._keep_alive = self.cycle.keep_alive
        self.cycle.keep_alive = False
        self.cycle.transport = _AnswerTransport(self.transport, self.cycle, self._end_for_client)

    def on_message_complete(self) -> None:
        if self._should_upgrade():
            return
        if not self.cycle.response_started:
            self.cycle.keep_alive = self._keep_alive
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._places.served(self)
        if self.pipeline:
            self.flow.pause_reading()
        elif self._sent_ahead:
            self.loop.call_soon(self._go_on)

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser refused, and close. Called while its error is handled."""
        if self.transport.is_closing() or (not self._is_idle and self.cycle.response_started):
            self.transport.close()  # Nothing else can be said within an answer.
            return
        error: BaseException | None = sys.exc_info()[1]
        if isinstance(error, httptools.HttpParserInvalidMethodError) and _REQUEST_LINE.match(self._received):
            self._answer_and_close(b"405 Method Not Allowed", NO_METHOD)
        elif self._header_bytes > HEADER_LIMIT_BYTES:
            text = f"the header of the request is over the limit of {HEADER_LIMIT_BYTES} bytes"
            self._answer_and_close(b"431 Request Header Fields Too Large", text)
        elif self._header_bytes and len(self.url) > URL_LIMIT_BYTES:
            text = f"the URL of the request is over the limit of {URL_LIMIT_BYTES} bytes"
            self._answer_and_close(b"414 URI Too Long", text)
        else:
            self._answer_and_close(b"400 Bad Request", "the request is not HTTP/1.1 or HTTP/1.0")

    def _answer_and_close(self, status: bytes, text: str) -> None:
        """Answer in place of the application. The connection stays until the client has read it, but not for long."""
        body = error_document(text)
        lines = [b"HTTP/1.1 " + status]
        lines += [name + b": " + value for name, value in [*self._fixed_headers, request_id_header(new_request_id())]]
        lines += [b"content-type: application/json", b"content-length: %d" % len(body), b"connection: close", b"", body]
        self.transport.write(b"\r\n".join(lines))
        self._end_for_client(LAST_ANSWER_S)

    def _end_for_client(self, within_s: float) -> None:
        """End the connection towards the client, and for so long take and drop what it still sends.

        Closing now would take the answer away from a client that is still sending.
        """
        self._had_last_answer = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._stop_header_timer()
        self._stop_rest_timer()
        self._unset_keepalive_if_required()
        self._places.closes(self)
        self.transport.write_eof()
        self.flow.resume_reading()
        self._rest_timer = self.loop.call_later(within_s, self.transport.abort)

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > HEADER_LIMIT_BYTES:
            # The parser turns what its callbacks raise into its own error, which ends in ``send_400_response``.
            raise ValueError("request header too large")

    def _expect_headers(self) -> None:
        self._header_timer = self.loop.call_later(HEADER_TIMEOUT_S, self._close_slow)

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _stop_rest_timer(self) -> None:
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None

    def _close_slow(self) -> None:
        self._header_timer = None
        self.transport.close()

    def _set_date(self) -> None:
        now = int(time.time())
        date = _DATES.get(now)
        if date is None:
            _DATES.clear()
            date = _DATES[now] = [(b"date", formatdate(now, usegmt=True).encode())]
        self.server_state.default_headers = date


class _AnswerTransport(asyncio.Transport):
    """The transport as an answer uses it: its end is the connection's, once the client can have read it."""

    def __init__(
        self, transport: asyncio.Transport, cycle: RequestResponseCycle, end_for_client: Callable[[float], None]
    ) -> None:
        super().__init__()
        self._transport = transport
        self._cycle = cycle
        self._end_for_client = end_for_client

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send a part of the answer."""
        self._transport.write(data)

    def is_closing(self) -> bool:
        """Return whether the connection ends."""
        return self._transport.is_closing()

    def close(self) -> None:
        """End the connection; where more of the request may come, only for the client at first."""
        if self._cycle.more_body and self._cycle.response_complete and not self._transport.is_closing():
            self._end_for_client(BODY_REST_TIMEOUT_S)
        else:
            self._transport.close()


_DATES: dict[int, RawHeaders] = {}
"""The Date header of the current second."""


def _bind(host: str, port: int, backlog: int) -> socket.socket:
    """Bind a socket. Raises ``ListenFailed``."""
    try:
        if not host:
            both = socket.has_dualstack_ipv6()
            family = socket.AF_INET6 if both else socket.AF_INET
            return socket.create_server(("", port), family=family, backlog=backlog, dualstack_ipv6=both)
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=backlog)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ListenFailed(f"cannot listen on {host or '*'}:{port}: {reason}") from error
