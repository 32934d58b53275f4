"""Selecting the handler of a method and a path, or the answer when there is none (http-api.md 1.1).

Paths under ``/api/v1`` are cut into segments before they are percent-decoded, so an escaped slash stays inside its
segment and an empty segment is a value. Three rules are unusual: the catch-all for plugin operations takes GET and
POST of every two-segment path that no other route takes with that method; below the workflow collections a caller is
authenticated before anything else; and only collection roots have a spelling with a trailing slash.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from gestalt_host.http.call import Answer, Call

Handler: TypeAlias = "Callable[[Call], Awaitable[Answer]]"

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"})
"""The methods that HTTP defines (RFC 9110 section 9.3, RFC 5789)."""

NO_METHOD = "the method of the request is none that HTTP defines"

API_PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True)
class Route:
    """A handler under ``/api/v1``; ``pattern`` like ``workflow/runs/{id}/cancel``.

    ``public`` routes are open to anybody; for the others the caller is authenticated first.
    """

    method: str
    pattern: str
    handler: Handler
    public: bool = False


@dataclass(frozen=True, slots=True)
class Selected:
    """A route and the decoded values of its placeholders."""

    route: Route
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoRoute:
    """No route: 404, or 405 when another method has one; with ``authenticate`` only to known callers."""

    status: int
    authenticate: bool


@dataclass(slots=True)
class _Node:
    literal: dict[str, _Node] = field(default_factory=dict)
    placeholder: _Node | None = None
    methods: dict[str, Route] = field(default_factory=dict)


class Router:
    """The routes under ``/api/v1``.

    Args:
        catch_all: Handlers of ``{integration}/{operation}``.
        guarded: Collections at and below which 401 comes before 404 and 405; each also has a trailing-slash spelling.
    """

    def __init__(self, routes: Sequence[Route], *, catch_all: Sequence[Route], guarded: Sequence[str]) -> None:
        self._root = _Node()
        self._fixed: dict[tuple[str, bytes], Selected] = {}
        self._catch_all = {route.method: route for route in catch_all}
        self._guarded = [tuple(prefix.split("/")) for prefix in guarded]
        for route in routes:
            self._add(route, route.pattern.split("/"))
            if route.pattern in guarded:
                self._add(route, [*route.pattern.split("/"), ""])

    def _add(self, route: Route, segments: Sequence[str]) -> None:
        node = self._root
        for segment in segments:
            if segment.startswith("{"):
                if node.placeholder is None:
                    node.placeholder = _Node()
                node = node.placeholder
            else:
                node = node.literal.setdefault(segment, _Node())
        node.methods[route.method] = route
        if "{" not in route.pattern:
            path = "/".join((API_PREFIX, *segments)).encode()
            self._fixed[route.method, path] = Selected(route, ())

    def select(self, method: str, raw_path: bytes) -> Selected | NoRoute:
        """Select by method and the still escaped path, which starts with ``/api/v1``."""
        if (fixed := self._fixed.get((method, raw_path))) is not None:
            return fixed
        segments = tuple(decoded(segment) for segment in raw_path[len(API_PREFIX) + 1 :].split(b"/"))
        guarded = any(segments[: len(prefix)] == prefix for prefix in self._guarded)
        known = False
        for node, values in _matches(self._root, segments, 0, ()):
            if route := node.methods.get(method):
                return Selected(route, values)
            known = known or bool(node.methods)
        if not guarded and len(segments) == 2 and segments[1]:
            if route := self._catch_all.get(method):
                return Selected(route, segments)
            known = True
        return NoRoute(405 if known else 404, guarded)


def decoded(raw: bytes) -> str:
    """Decode an escaped path or a segment of one; what is no UTF-8 becomes U+FFFD."""
    return (unquote_to_bytes(raw) if b"%" in raw else raw).decode("utf-8", "replace")


def _matches(
    node: _Node, segments: tuple[str, ...], depth: int, values: tuple[str, ...]
) -> Sequence[tuple[_Node, tuple[str, ...]]]:
    """Return the nodes that the segments lead to, exact ones before placeholders."""
    if depth == len(segments):
        return [(node, values)]
    segment = segments[depth]
    found: list[tuple[_Node, tuple[str, ...]]] = []
    if (exact := node.literal.get(segment)) is not None:
        found.extend(_matches(exact, segments, depth + 1, values))
    # An empty segment is a value, but not at the end: that is a trailing slash.
    if node.placeholder is not None and (segment or depth + 1 < len(segments)):
        found.extend(_matches(node.placeholder, segments, depth + 1, (*values, segment)))
    return found
