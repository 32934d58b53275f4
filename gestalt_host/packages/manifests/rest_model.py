"""A declarative REST surface: operations that are HTTP requests, described in a manifest (packaging.md 4.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PLACES = ("path", "query", "header", "body")
"""Where a parameter may go."""
PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
"""Of paths, base URLs and headers; the group is the name of what is filled in."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWN_HEADERS = frozenset(
    (
        *("accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "proxy-authenticate"),
        *("proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    )
)
"""Of the connection and of the framing: the host's client sets them."""


def is_settable_header(name: str) -> bool:
    """Return whether a manifest, parameter or credential can set a request's header of that name."""
    return _HEADER_NAME.fullmatch(name) is not None and name.lower() not in _OWN_HEADERS


@dataclass(frozen=True, slots=True)
class RestParameter:
    """A parameter of an operation.

    Attributes:
        type: As the manifest spells it (``string``, ``int``, ``number``, ``bool``, ``object``, ``array``); blank: any.
        place: One of ``PLACES``.
        internal: Not for callers, and never part of the request; it may choose a connection.
    """

    name: str
    place: str
    type: str = ""
    description: str = ""
    required: bool = False
    internal: bool = False


@dataclass(frozen=True, slots=True)
class ConnectionSelector:
    """Chooses an operation's connection by the value of a parameter; ``values`` to connections, by internal name."""

    parameter: str
    values: Mapping[str, str]
    default: str = ""


@dataclass(frozen=True, slots=True)
class Pagination:
    """How the pages of an answer follow one another (packaging.md 4).

    Attributes:
        style: ``cursor``, ``offset`` or ``page``.
        cursor_parameter: Query parameter that asks for a page.
        cursor_source: ``body`` or ``header``: where the next cursor is, at ``cursor_path``.
        results_path: Dotted path of the items in each answer; blank: the answer is the list.
        max_pages: More pages than these are an error that names the limit.
    """

    style: str
    cursor_parameter: str = ""
    cursor_source: str = "body"
    cursor_path: str = ""
    limit_parameter: str = ""
    default_limit: int = 0
    results_path: str = ""
    max_pages: int = 0


@dataclass(frozen=True, slots=True)
class RestOperation:
    """One operation. ``path`` is a template with ``{name}`` placeholders that is appended to the base URL as it is.

    Attributes:
        connection: The internal name of the connection that callers cannot override; blank: none is pinned.
        idempotent: Whether it may be sent again where the other side asks for it (GET always may).
        pagination: How all its pages are fetched; None: a call fetches the one page that its caller asks for.
        data_path: Dotted path of the part of a JSON answer that is the result; blank: all of it.
    """

    name: str
    method: str
    path: str
    description: str = ""
    tags: tuple[str, ...] = ()
    allowed_roles: tuple[str, ...] = ()
    connection: str = ""
    selector: ConnectionSelector | None = None
    parameters: tuple[RestParameter, ...] = ()
    idempotent: bool = False
    pagination: Pagination | None = None
    data_path: str = ""


@dataclass(frozen=True, slots=True)
class RestSurface:
    """The surface of one package. ``headers`` go with each request, with ``{parameter}`` of the connection filled in.

    ``connection``: the surface's own, by internal name; blank: by the rule of config.md 15.3.
    """

    base_url: str
    operations: Mapping[str, RestOperation]
    connection: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
