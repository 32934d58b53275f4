"""The ASGI application of a host that has no API yet: it is there, and says what its start waits for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from gestalt_host.http.call import Answer, error_answer, json_answer, readiness_answer
from gestalt_host.http.headers import security_headers
from gestalt_host.http.request_ids import request_id_header, request_id_of

_RETRY_AFTER_S = b"1"


class StartingApplication:
    """Answers ``/health``; everything else is 503 with what is waited for."""

    def __init__(self, reason: Callable[[], str], shortcomings: Callable[[], Sequence[str]], base_url: str) -> None:
        """
        Args:
            reason: What the start waits for now.
            shortcomings: Which providers are not ready yet, and why.
        """
        self._reason = reason
        self._shortcomings = shortcomings
        self._fixed_headers = security_headers(base_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        answer = self._answer(scope["path"])
        headers = [request_id_header(request_id_of(Headers(scope=scope))), *answer.raw_headers(self._fixed_headers)]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    def _answer(self, path: str) -> Answer:
        if path == "/health":
            return json_answer({"status": "ok"})
        reason = self._reason()
        if path == "/ready":
            answer = readiness_answer(reason, self._shortcomings())
        else:
            answer = error_answer(503, f"starting: {reason}")
        return Answer(answer.status, answer.body, headers=((b"retry-after", _RETRY_AFTER_S),))
