"""The HTTP API as an ASGI application: select a route, authenticate, run its handler, write the answer.

Everything a handler may leave to this module happens here once: domain errors become answers, unexpected ones are
logged and hidden, a handler that takes too long is cut off, and every response gets the fixed headers. Plain ASGI
without middleware layers: publishing an event goes through here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from urllib.parse import quote

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gestalt_host.access.subjects import Principal
from gestalt_host.errors import HostError, NotAuthenticated, quoted
from gestalt_host.http.call import Answer, Call, ClientGone, error_answer
from gestalt_host.http.faults import answer_to
from gestalt_host.http.headers import security_headers
from gestalt_host.http.listener import ABORT, STOPPING
from gestalt_host.http.origins import BrowserRules
from gestalt_host.http.request_ids import request_id_header
from gestalt_host.http.routes import absent as absent_routes
from gestalt_host.http.routes import auth as auth_routes
from gestalt_host.http.routes import operational
from gestalt_host.http.routes import plugins as plugin_routes
from gestalt_host.http.routes import providers as provider_routes
from gestalt_host.http.routes import workflows as workflow_routes
from gestalt_host.http.routing import METHODS, NO_METHOD, NoRoute, Router, decoded
from gestalt_host.http.services import HttpServices
from gestalt_sdk.common.requests import request_in_progress

HANDLER_TIMEOUT_S = 60.0
CUT_OFF = "the server is stopping and waits for this request no longer; whether it was carried out is not known"

log = structlog.get_logger()


def create_app(services: HttpServices, *, handler_timeout_s: float = HANDLER_TIMEOUT_S) -> ASGIApp:
    """Make the ASGI application over the host's services."""
    return Application(services, handler_timeout_s)


class Application:
    """See ``create_app``."""

    def __init__(self, services: HttpServices, handler_timeout_s: float) -> None:
        self._services = services
        self._timeout_s = handler_timeout_s
        self._fixed_headers = security_headers(services.base_url)
        self._browsers = BrowserRules(services.base_url, services.hosts)
        self._metrics = operational.HttpMetrics(services.metrics) if services.metrics is not None else None
        self._router = Router(
            [
                *workflow_routes.ROUTES,
                *plugin_routes.ROUTES,
                *provider_routes.ROUTES,
                *auth_routes.ROUTES,
                *absent_routes.ROUTES,
            ],
            catch_all=plugin_routes.CATCH_ALL,
            guarded=workflow_routes.COLLECTIONS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            call = Call(self._services, scope, receive)
            with request_in_progress(call.request_id):
                await self._respond(call, scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _respond(self, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        raw_path = scope.get("raw_path") or quote(scope["path"]).encode()
        route = "other"
        try:
            self._browsers.check(scope, raw_path)
            if call.method not in METHODS:
                answer = error_answer(405, NO_METHOD)
            elif raw_path == b"/api/v1" or raw_path.startswith(b"/api/v1/"):
                route, answer = await self._api(call, raw_path)
            else:
                route, answer = await operational.answer(call, decoded(raw_path))
        except ClientGone:
            return
        except HostError as error:
            answer = _answer_error(call, error)
        except asyncio.CancelledError:
            stopping = scope.get("state", {}).get(STOPPING)
            if stopping is None or not stopping.is_set():
                raise
            answer = error_answer(503, CUT_OFF)
        except Exception:
            log.exception("request failed", event_name="http.failed", method=call.method, path=decoded(raw_path))
            answer = error_answer(500, call.failure)
        headers = [request_id_header(call.request_id), *answer.raw_headers(self._fixed_headers)]
        body = b"" if answer.status in (204, 304) else answer.body
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": answer.rest is not None})
        if answer.rest is not None:
            await self._send_rest(call, answer.rest, receive, send)
        if self._metrics is not None:
            self._metrics.observe(call.method, route, answer.status, time.perf_counter() - began)

    async def _send_rest(self, call: Call, rest: AsyncIterator[bytes], receive: Receive, send: Send) -> None:
        """Send the further parts of an answer as the client takes them.

        One that cannot be completed ends with its connection, and so the client knows that it lacks something.
        """
        gone = asyncio.create_task(_disconnected(receive))
        part: bytes | None = b""
        try:
            while part is not None and not gone.done():
                async with asyncio.timeout(self._timeout_s):
                    part = await anext(rest, None)
                    await send({"type": "http.response.body", "body": part or b"", "more_body": part is not None})
        except Exception as error:
            log.warning(
                "an answer was broken off",
                event_name="http.broken_off",
                method=call.method,
                path=call.scope["path"],
                error=str(error) or f"no progress within {self._timeout_s:g} s",
                error_type=type(error).__name__,
            )
            call.scope["extensions"][ABORT]["call"]()
            await gone
        finally:
            gone.cancel()

    async def _api(self, call: Call, raw_path: bytes) -> tuple[str, Answer]:
        """Answer a request under ``/api/v1``, with the pattern of its route."""
        selected = self._router.select(call.method, raw_path)
        if isinstance(selected, NoRoute):
            if selected.authenticate:
                call.who = await _authenticated(call)
            path = quoted(decoded(raw_path))
            if selected.status == 404:
                return "other", error_answer(404, f"API route {path} not found")
            return "other", error_answer(405, f"method {call.method} is not allowed for API route {path}")
        route = selected.route
        call.values = selected.values
        try:
            async with asyncio.timeout(self._timeout_s) as limit:
                try:
                    if not route.public:
                        call.who = await _authenticated(call)
                    call.require_size()
                    return route.pattern, await route.handler(call)
                except HostError as error:
                    return route.pattern, _answer_error(call, error)
        except TimeoutError:
            if not limit.expired():
                raise
            if call.lacking_body:
                return route.pattern, error_answer(408, call.lacking_body)
            log.warning("request took too long", event_name="http.timeout", method=call.method, route=route.pattern)
            text = f"no answer within {self._timeout_s:g} s to {call.method} {quoted(decoded(raw_path))}"
            return route.pattern, error_answer(504, f"{text}; it may still be running")


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _authenticated(call: Call) -> Principal:
    who = await call.services.authenticate(call.headers)
    if not who.subject_id:
        raise NotAuthenticated("missing subject")
    return who


def _answer_error(call: Call, error: HostError) -> Answer:
    answer = answer_to(error, failure=call.failure)
    if answer.detail_hidden:
        log.warning(
            "request failed for a reason that is not told",
            event_name="http.hidden_error",
            method=call.method,
            status=answer.status,
            error=str(error),
            error_type=type(error).__name__,
        )
    return error_answer(answer.status, answer.text, code=answer.code, plugin=answer.plugin)


async def _lifespan(receive: Receive, send: Send) -> None:
    """Confirm start-up and shutdown: the app owns nothing that starts or stops."""
    while True:
        message: Message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
