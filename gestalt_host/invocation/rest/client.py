"""Sending the requests of one declarative plugin: redirects, repeats, limits, and failures in words (decision 32)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gestalt_host.errors import EgressRefused, UpstreamFailed, UpstreamTimeout, UpstreamUnreachable, UpstreamUnreadable
from gestalt_host.invocation.rest.egress import EgressRules, plain_host
from gestalt_host.invocation.rest.places import Places
from gestalt_host.packages.downloads.answers import BodyTooLarge, decoded, seconds_to_wait
from gestalt_host.packages.downloads.failures import FetchFailed
from gestalt_host.packages.downloads.trust import quiet_client_logs, tls_context
from gestalt_host.packages.downloads.urls import is_http, resolved, shown_origin
from gestalt_host.packages.errors import PackageInvalid
from gestalt_sdk.common.printable import printable

if TYPE_CHECKING:
    import ssl

    import httpcore

    from gestalt_host.invocation.rest.connections import Connections, Exchange
    from gestalt_host.invocation.rest.dialling import Resolve
    from gestalt_host.invocation.rest.requests import PreparedRequest

TIMEOUT_S = 30.0
"""For one operation: connecting, redirects, repeats, further pages and bodies together."""
CONNECT_S = 10.0
"""For one address."""
MOST_BYTES = 50 * 1024 * 1024
"""Of the bodies of one operation, unpacked."""
MOST_AT_A_TIME, MOST_EACH = 256, 64
"""Requests of one plugin at a time, and those for one subject."""
LARGE_BYTES = 1024 * 1024
MOST_LARGE, MOST_LARGE_EACH = 8, 4
"""Operations of all plugins at a time, and those for one subject, with bodies of more than ``LARGE_BYTES``."""
MOST_REDIRECTS = 9
MOST_REPEATS = 3
_SHOWN = 300
"""Characters of an origin in messages; names have 253 at most."""
_FOLLOWED = frozenset({301, 302, 303, 307, 308})
_KEEP_METHOD = frozenset({307, 308})
_ASKS_TO_WAIT = frozenset({429, 503})
_WITHOUT_BODY = frozenset({204, 304})
_OF_BODIES = frozenset({"content-type", "content-encoding", "content-language", "content-location"})


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer.

    Attributes:
        headers: By lower-case name; of several with one name the first.
        credential_sent: Whether the request that got this answer carried the connection's credential.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    credential_sent: bool = False


@dataclass(slots=True)
class Budget:
    """What is left for an operation.

    Attributes:
        until: When its time ends, on the loop's clock.
        bytes_left: Of its bodies.
        subject: Whom it is for.
        room: Holds the place of an operation with large bodies, from when they are large; to be closed with it.
        has_room: Whether it holds one.
    """

    until: float
    bytes_left: int
    subject: str = ""
    room: AsyncExitStack = field(default_factory=AsyncExitStack)
    has_room: bool = False


@dataclass(slots=True)
class _Hop:
    """One request on its way along redirects."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    has_credential: bool
    is_redirected: bool = False

    def cause(self, text: str) -> str:
        # The other side has chosen it: it neither moves a terminal nor fills a message.
        return (
            f"after a redirect to {printable(shown_origin(self.url)[:_SHOWN])}: {text}" if self.is_redirected else text
        )


class RestClient:
    """The connections of one plugin.

    Args:
        timeout_s: For an operation in all.
        most_bytes: Of its bodies, counted when they are unpacked.
        large: Places for operations with large bodies; those of other plugins may have the same.
        resolve: Gives the addresses of a name; None: the system's.
        trust: Which certificates are trusted; None: those that the system or ``SSL_CERT_FILE`` names.
    """

    def __init__(
        self,
        rules: EgressRules,
        *,
        timeout_s: float = TIMEOUT_S,
        most_bytes: int = MOST_BYTES,
        connect_s: float = CONNECT_S,
        places: Places | None = None,
        large: Places | None = None,
        resolve: Resolve | None = None,
        trust: ssl.SSLContext | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rules = rules
        self._timeout_s = timeout_s
        self._most_bytes = most_bytes
        self._connect_s = connect_s
        self._places = places or Places(MOST_AT_A_TIME, MOST_EACH)
        self._large = large or large_places()
        self._resolve = resolve
        self._trust = trust
        self._sleep = sleep
        self._connections: dict[str, Connections] = {}

    async def close(self) -> None:
        """Close all connections; a request that is on its way fails."""
        schemes = list(self._connections.values())
        self._connections.clear()
        for connections in schemes:
            await connections.close()

    def budget(self, subject: str = "") -> Budget:
        """Return what one operation has that begins now."""
        return Budget(asyncio.get_running_loop().time() + self._timeout_s, self._most_bytes, subject)

    async def send(self, request: PreparedRequest, budget: Budget | None = None) -> Answer:
        """Send a request, follow redirects, and return the answer whatever its status.

        Args:
            budget: Of the operation that it is a part of; what it takes is taken off. None: it is the whole operation.

        Raises:
            EgressRefused: a host or address may not be reached.
            UpstreamTimeout, UpstreamUnreachable: no answer began.
            UpstreamUnreadable: its body did not come whole, or is too large.
        """
        if budget is None:
            budget = self.budget()
            async with budget.room:
                return await self.send(request, budget)
        most, each = self._places.most, self._places.most_each
        busy = f"it was not sent, since the plugin sends {most} requests at a time and {each} for one subject,"
        stage = _Stage(f"{busy} and no place was free", UpstreamTimeout)
        # Who holds room waits for no place: those that have them may be waiting for room.
        place = nullcontext() if budget.has_room else self._places.taken(budget.subject)
        try:
            async with asyncio.timeout_at(budget.until), place:
                return await self._repeated(request, budget, stage)
        except TimeoutError:
            raise stage.error(request.template, f"{stage.late} within {self._timeout_s:g} s") from None

    async def _repeated(self, request: PreparedRequest, budget: Budget, stage: _Stage) -> Answer:
        """Send until the other side does not ask to wait, or that is of no use."""
        for repeats in range(MOST_REPEATS + 1):
            async with self._followed(request, stage) as (response, hop):
                headers = _headers(response)
                wait = _wait_asked(response.status, headers) if request.may_repeat and repeats < MOST_REPEATS else None
                if wait is None or asyncio.get_running_loop().time() + wait >= budget.until:
                    body = await self._body(request, response, headers, hop, budget, stage)
                    return Answer(response.status, headers, body, hop.has_credential)
            await self._sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    @asynccontextmanager
    async def _followed(self, request: PreparedRequest, stage: _Stage) -> AsyncIterator[tuple[httpcore.Response, _Hop]]:
        """Give the answer at the end of the redirects, its body not read yet."""
        hop = _Hop(request.method, request.url, dict(request.headers), request.body, request.has_credential)
        for _ in range(MOST_REDIRECTS + 1):
            stage.becomes(hop.cause("no answer began"), UpstreamTimeout)
            exchange = await self._exchange(request, hop)
            response = exchange.response
            try:
                location = _headers(response).get("location", "")
                if not 200 <= response.status <= 599:
                    cause = f"it answered with status {response.status}; accepted are 200 to 599"
                    raise UpstreamUnreachable(request.template, hop.cause(cause))
                if response.status not in _FOLLOWED or not location:
                    yield response, hop
                    return
            finally:
                await exchange.close()
            hop = _next_hop(request, hop, response.status, location)
        raise UpstreamUnreachable(request.template, f"more than {MOST_REDIRECTS} redirects")

    async def _exchange(self, request: PreparedRequest, hop: _Hop) -> Exchange:
        """Send one hop and return its exchange: status and headers have come.

        Where a connection ends that was used before, the other side may have closed it before it saw the request: what
        may be repeated is then sent once more.
        """
        import httpcore

        from gestalt_host.invocation.rest.connections import UsedConnectionEnded
        from gestalt_host.invocation.rest.dialling import NotDialled
        from gestalt_host.invocation.rest.failures import cause_without_answer

        parts = urlsplit(hop.url)
        try:
            host = plain_host(parts.hostname or "")
            port = parts.port
        except ValueError as error:
            raise UpstreamUnreachable(request.template, hop.cause(str(error))) from None
        if refusal := self._rules.refusal_of_host(host):
            raise EgressRefused(request.template, hop.cause(refusal))
        connections = await self._connections_of(request, parts.scheme)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        url = httpcore.URL(scheme=parts.scheme, host=host, port=port, target=target)
        message = httpcore.Request(
            hop.method,
            url,
            headers=_sent(hop, _host_header(host, port)),
            content=hop.body,
            extensions={"timeout": {"connect": self._connect_s}},
        )
        try:
            while True:
                try:
                    return await connections.exchange(message)
                except UsedConnectionEnded as ended:
                    if not request.may_repeat:
                        raise ended.error from None
        except NotDialled as error:
            raise EgressRefused(request.template, hop.cause(str(error))) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise UpstreamUnreachable(request.template, hop.cause(cause_without_answer(error))) from error

    async def _body(
        self,
        request: PreparedRequest,
        response: httpcore.Response,
        headers: Mapping[str, str],
        hop: _Hop,
        budget: Budget,
        stage: _Stage,
    ) -> bytes:
        import httpcore

        from gestalt_host.invocation.rest.failures import cause_in_body

        whole = hop.cause("its answer did not come whole")
        stage.becomes(whole, UpstreamUnreadable)

        async def grown(size: int) -> None:
            if budget.has_room or self._most_bytes - budget.bytes_left + size <= LARGE_BYTES:
                return
            most, each = self._large.most, self._large.most_each
            busy = f"{most} operations at a time, {each} for one subject, may read more than {LARGE_BYTES} bytes,"
            stage.becomes(hop.cause(f"{busy} and no place was free"), UpstreamUnreadable)
            await budget.room.enter_async_context(self._large.taken(budget.subject))
            budget.has_room = True
            stage.becomes(whole, UpstreamUnreadable)

        encoding = None if response.status in _WITHOUT_BODY else headers.get("content-encoding")
        try:
            body = await decoded(response.aiter_stream(), encoding, budget.bytes_left, grown)
        except BodyTooLarge:
            cause = f"there are more than {self._most_bytes} bytes; no more are taken"
            raise UpstreamUnreadable(request.template, hop.cause(cause)) from None
        except PackageInvalid as error:
            raise UpstreamUnreadable(request.template, hop.cause(str(error))) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise UpstreamUnreadable(request.template, hop.cause(cause_in_body(error))) from error
        budget.bytes_left -= len(body)
        return body

    async def _connections_of(self, request: PreparedRequest, scheme: str) -> Connections:
        """Return the connections of a scheme: those of ``http`` need no certificates."""
        from gestalt_host.invocation.rest.connections import Connections
        from gestalt_host.invocation.rest.dialling import CheckedDialling, Resolver

        if scheme not in self._connections:
            trust = self._trust
            if trust is None and scheme == "https":
                try:
                    trust = await asyncio.to_thread(tls_context)
                except FetchFailed as error:
                    raise UpstreamUnreachable(request.template, str(error)) from None
            if scheme not in self._connections:
                quiet_client_logs()
                dialling = CheckedDialling(self._rules, self._resolve or Resolver())
                self._connections[scheme] = Connections(dialling, trust)
        return self._connections[scheme]


def large_places() -> Places:
    """Return places for operations with large bodies: they bound the memory that answers take."""
    return Places(MOST_LARGE, MOST_LARGE_EACH)


class _Stage:
    """How far a request has come, for when its time ends."""

    def __init__(self, late: str, kind: type[UpstreamFailed]) -> None:
        self.becomes(late, kind)

    def becomes(self, late: str, kind: type[UpstreamFailed]) -> None:
        self.late, self._kind = late, kind

    def error(self, template: str, cause: str) -> UpstreamFailed:
        return self._kind(template, cause)


def _next_hop(request: PreparedRequest, hop: _Hop, status: int, location: str) -> _Hop:
    """Return the request that a redirect leads to.

    Raises:
        UpstreamUnreachable: it leads to what is no URL of http or https.
    """
    try:
        url = resolved(hop.url, location)
    except PackageInvalid:
        url = ""
    if not is_http(url):
        cause = "it redirects to what is no http or https URL, and only those are followed"
        raise UpstreamUnreachable(request.template, hop.cause(cause))
    method, headers, body = hop.method, hop.headers, hop.body
    if status not in _KEEP_METHOD and method != "GET":
        method, body = "GET", None
        headers = {name: value for name, value in headers.items() if name.lower() not in _OF_BODIES}
    has_credential = hop.has_credential
    if _origin(url) != _origin(request.url):
        # Where it has been dropped once it does not come back: the one in between has chosen where it would go.
        headers = {name: value for name, value in headers.items() if name.lower() not in request.secret_headers}
        has_credential = False
    return _Hop(method, url, headers, body, has_credential, is_redirected=True)


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    try:
        host = plain_host(parts.hostname or "")
    except ValueError:
        host = ""
    return parts.scheme, host, parts.port or {"http": 80, "https": 443}[parts.scheme]


def _host_header(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"


def _sent(hop: _Hop, host: str) -> list[tuple[bytes, bytes]]:
    """Return the headers of a request, the client's own before those that it was given."""
    own = {"Host": host, "Accept-Encoding": "gzip", "User-Agent": "gestaltd"}
    given = {name.lower() for name in hop.headers}
    headers = {name: value for name, value in own.items() if name.lower() not in given} | hop.headers
    if hop.body is not None:
        headers["Content-Length"] = str(len(hop.body))
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _headers(response: httpcore.Response) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in response.headers:
        found.setdefault(name.decode("latin-1").lower(), _text(value))
    return found


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _wait_asked(status: int, headers: Mapping[str, str]) -> float | None:
    return seconds_to_wait(headers.get("retry-after")) if status in _ASKS_TO_WAIT else None
