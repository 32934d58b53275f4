"""One request and one answer as the routes see them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from gestalt_host.access.subjects import NOBODY, Principal
from gestalt_host.http.headers import RawHeaders
from gestalt_host.http.request_ids import request_id_of
from gestalt_host.http.services import HttpServices
from gestalt_host.http.shapes.bodies import BODY_LIMIT_BYTES, BodyLate, BodyTooLarge
from gestalt_host.http.shapes.rendering import document, document_parts, error_document

BODY_TIMEOUT_S = 10.0
"""How long a client may take between two parts of a body."""

JSON = "application/json"
PLAIN_TEXT = "text/plain; charset=utf-8"

ANONYMOUS = Principal(NOBODY)
T = TypeVar("T")


class ClientGone(Exception):
    """The client closed the connection before it had its answer; nobody waits for one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body; an empty ``content_type`` sends no such header.

    Attributes:
        rest: What follows ``body``, made as the client takes it; the answer then has no length.
    """

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    rest: AsyncIterator[bytes] | None = None

    def raw_headers(self, fixed: RawHeaders) -> RawHeaders:
        found = [*fixed, *self.headers]
        if self.content_type:
            found.append((b"content-type", self.content_type.encode("latin-1", "replace")))
        if self.status not in (204, 304) and self.rest is None:
            found.append((b"content-length", str(len(self.body)).encode()))
        return found


class Call:
    """A request on its way through a handler.

    Attributes:
        request_id: Name of the request, in its answer and in lines of the log.
        values: Decoded values of the route's placeholders, in order.
        who: The caller; ``ANONYMOUS`` on public routes.
        failure: What the answer says when something fails that the caller must not read about. Handlers set it to
            the generic text of their route.
    """

    __slots__ = (
        "_awaited_from",
        "_query",
        "_receive",
        "failure",
        "headers",
        "method",
        "request_id",
        "scope",
        "services",
        "values",
        "who",
    )

    def __init__(self, services: HttpServices, scope: Scope, receive: Receive) -> None:
        self.services = services
        self.scope = scope
        self.method: str = scope["method"]
        self.headers = Headers(scope=scope)
        self.request_id = request_id_of(self.headers)
        self.values: tuple[str, ...] = ()
        self.who = ANONYMOUS
        self.failure = "internal error"
        self._awaited_from: int | None = None
        self._receive = receive
        self._query: dict[str, str] | None = None

    @property
    def query(self) -> dict[str, str]:
        """The query string: the first value of each key."""
        if self._query is None:
            pairs = parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True)
            self._query = dict(reversed(pairs))
        return self._query

    def require_size(self) -> None:
        """Raise ``BodyTooLarge`` when the request announces a body over the limit."""
        size = self.headers.get("content-length", "")
        if len(size) > 6 and size.isdecimal() and int(size) > BODY_LIMIT_BYTES:
            raise BodyTooLarge(int(size))

    @property
    def lacking_body(self) -> str:
        """Say how much has come of a body that is still awaited; blank when none is."""
        if self._awaited_from is None:
            return ""
        declared = self.headers.get("content-length")
        size = f"of {declared} bytes of the request's body" if declared else "of the request's body, in chunks,"
        return f"{size} {self._awaited_from} came and no more; the connection is closed"

    async def body(self) -> bytes:
        """Read the body.

        Raises:
            ClientGone: nobody waits for an answer.
            BodyTooLarge: as soon as it is known.
            BodyLate: the client has begun to send it and does not go on.
        """
        chunks: list[bytes] = []
        size = self._awaited_from = 0
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S) as limit:
                while True:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    if chunk := message.get("body", b""):
                        chunks.append(chunk)
                        size += len(chunk)
                    if size > BODY_LIMIT_BYTES:
                        self._awaited_from = None
                        raise BodyTooLarge(None)
                    if not message.get("more_body", False):
                        break
                    self._awaited_from = size
                    limit.reschedule(asyncio.get_running_loop().time() + BODY_TIMEOUT_S)
        except TimeoutError:
            raise BodyLate(self.lacking_body) from None
        self._awaited_from = None
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def while_awaited(self, work: Awaitable[T]) -> T:
        """Return what ``work`` gives. It is cancelled when the client closes the connection.

        Raises:
            ClientGone: nobody waits for an answer.
        """
        try:
            async with asyncio.timeout(None) as limit:
                watching = asyncio.create_task(self._end_when_gone(limit), name="watching for the client's end")
                try:
                    return await work
                finally:
                    watching.cancel()
        except TimeoutError:
            if limit.expired():
                raise ClientGone from None
            raise

    async def _end_when_gone(self, limit: asyncio.Timeout) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        limit.reschedule(0)


def json_answer(value: Any, status: int = 200, headers: RawHeaders | None = None) -> Answer:
    return Answer(status, document(value), headers=tuple(headers or ()))


def readiness_answer(reason: str | None, shortcomings: Sequence[str]) -> Answer:
    """Return the answer of ``/ready``: why the host is not ready, None when it is, and what does not work."""
    body = {"status": "ok" if reason is None else reason, **({"detail": list(shortcomings)} if shortcomings else {})}
    return json_answer(body, 200 if reason is None else 503)


async def list_answer(items: AsyncIterator[object]) -> Answer:
    """Return the list as an answer; what is beyond its first part is read when the client takes it."""
    parts = document_parts(items)
    first = await anext(parts)
    second = await anext(parts, None)
    if second is None:
        return Answer(200, first)
    return Answer(200, first + second, rest=parts)


def error_answer(status: int, text: str, *, code: str = "", plugin: str = "") -> Answer:
    return Answer(status, error_document(text, code, plugin))
