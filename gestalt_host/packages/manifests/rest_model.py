"""A declarative REST surface: operations that are HTTP requests, described in a manifest (packaging.md 4.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gestalt_host.config.declared.headers import is_settable_header as is_settable_header
from gestalt_host.config.declared.pagination import Pagination as Pagination

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PLACES = ("path", "query", "header", "body")
"""Where a parameter may go."""
PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
"""Of paths, base URLs and headers; the group is the name of what is filled in."""


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
    """Chooses an operation's connection by the value of a parameter: ``values`` has the connection of each."""

    parameter: str
    values: Mapping[str, str]
    default: str = ""


@dataclass(frozen=True, slots=True)
class RestOperation:
    """One operation. ``path`` is a template with ``{name}`` placeholders that is appended to the base URL as it is.

    Attributes:
        connection: Name of the connection that callers cannot override; blank: none is pinned.
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

    ``connection``: the surface's own; blank: by the rule of config.md 15.3. Names of connections are as the manifest
    spells them until ``rest.surface.surface_of`` has made internal ones of them.
    """

    base_url: str
    operations: Mapping[str, RestOperation]
    connection: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
