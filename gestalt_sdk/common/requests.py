"""Know which request of a client the code that runs is part of, so that lines of the log can say so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ACCEPTED = re.compile(r"[0-9A-Za-z._~:/+=@-]{1,128}")


def accepted_request_id(given: str) -> str:
    """Return an id that somebody else has given; empty when it is too long or has other characters than ids have."""
    return given if _ACCEPTED.fullmatch(given) else ""


class _InProgress:
    """A request; tasks that it has started and that outlast it keep this object, and so see that it is over."""

    __slots__ = ("over", "request_id")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.over = False


_current: ContextVar[_InProgress | None] = ContextVar("request", default=None)


@contextmanager
def request_in_progress(request_id: str) -> Iterator[None]:
    """Let lines of the log carry ``request_id`` until this ends, those of tasks started within too."""
    request = _InProgress(request_id)
    token = _current.set(request)
    try:
        yield
    finally:
        request.over = True
        _current.reset(token)


def current_request_id() -> str:
    """Return the id of the request that the caller's code is part of; empty outside of one."""
    request = _current.get()
    return "" if request is None or request.over else request.request_id
