"""Describe what passes between a plugin and its service: results, refusals, the plugin's side as a protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from gestalt_sdk.errors import GestaltError
from gestalt_sdk.plugin.catalogue import Catalogue
from gestalt_sdk.plugin.operations import BoundOperation
from gestalt_sdk.plugin.request import Request, Subject
from gestalt_sdk.transport.host_channels import HostChannels


@dataclass(frozen=True, slots=True)
class Response:
    """Give a result a status of its own; a ``body`` that is text is sent as it is, anything else as JSON."""

    status: int
    body: Any = ""


class OperationError(GestaltError):
    """End an operation with ``status`` and the body ``{"error": message}``."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class SubjectRejected(GestaltError):
    """Refuse an HTTP request with this status and text; raised by ``resolve_http_subject``."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class PostConnectCredential:
    """Describe a credential that has just been connected; the tokens are secrets."""

    id: str = ""
    subject_id: str = ""
    plugin: str = ""
    connection: str = ""
    instance: str = ""
    access_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    scopes: str = ""
    expires_at: datetime | None = None
    metadata_json: str = ""


@dataclass(frozen=True, slots=True)
class HTTPSubjectRequest:
    """Describe a request to one of the plugin's HTTP bindings whose sender is to be named."""

    binding: str = ""
    method: str = ""
    path: str = ""
    content_type: str = ""
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    raw_body: bytes = b""
    security_scheme: str = ""
    verified_subject: str = ""
    verified_claims: Mapping[str, str] = field(default_factory=dict)


class ServedPlugin(Protocol):
    """Be what the service needs of a plugin, as ``Plugin`` is; those from ``session_catalogue`` on are the hooks."""

    name: str
    display_name: str
    description: str
    operations: dict[str, BoundOperation]
    host_channels: HostChannels
    configured_event: asyncio.Event
    ending_event: asyncio.Event
    under_way: dict[asyncio.Task[object], str]

    async def configure(self, name: str, config: dict[str, Any]) -> None:
        """Take the configuration."""

    def offers(self, hook: str) -> bool:
        """Tell whether the plugin overrides this optional hook."""

    def catalogue(self) -> Catalogue:
        """Return what the host and its users see of the plugin."""

    async def session_catalogue(self, request: Request) -> Catalogue:
        """Return the operations that only this caller is offered."""

    async def session_operation(self, request: Request, params: dict[str, Any]) -> Any:
        """Perform an operation that is not declared."""

    async def post_connect(self, credential: PostConnectCredential) -> Mapping[str, str]:
        """Return metadata to be stored with a credential that has just been connected."""

    async def resolve_http_subject(self, http: HTTPSubjectRequest, request: Request) -> Subject:
        """Return who sent an HTTP request."""
