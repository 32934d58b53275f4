"""Write a plugin: a ``Plugin`` subclass whose declared methods are its operations.

    class Notes(Plugin):
        @operation("notes.add", title="Add a note")
        async def add(self, request: Request, text: str, tags: list[str] | None = None) -> dict[str, Any]:
            await self.indexeddb().store("notes").put({"id": request.idempotency_key or str(uuid4()), "text": text})
            return {"added": True}

An operation returns any JSON value (status 200) or a ``Response``; it raises ``OperationError`` for another status.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import grpc

from gestalt_sdk.bases.provider import Provider, ProviderKind
from gestalt_sdk.plugin import service
from gestalt_sdk.plugin.catalogue import Catalogue
from gestalt_sdk.plugin.operations import BoundOperation, operations_of
from gestalt_sdk.plugin.request import Request, Subject
from gestalt_sdk.plugin.types import HTTPSubjectRequest, PostConnectCredential
from gestalt_sdk.transport.environment import PLUGIN_NAME


class Plugin(Provider):
    """Perform operations for the host and its users; the base of every plugin.

    ``configure`` gets its configured name and its ``config`` before the first call.

    Override ``session_catalogue`` (with ``session_operation``), ``post_connect`` or ``resolve_http_subject`` to offer
    them; the host learns of it.
    """

    kind: ClassVar[ProviderKind] = ProviderKind.INTEGRATION
    icon_svg: str = ""

    def __init__(self) -> None:
        super().__init__()
        self.operations: dict[str, BoundOperation] = operations_of(self)
        """Declared operations by id."""

    def register(self, server: grpc.aio.Server) -> Sequence[str]:
        """Add the plugin's services; return their names."""
        return service.register(self, server)

    def catalogue(self) -> Catalogue:
        """Return what the host and its users see of this plugin."""
        return Catalogue(
            name=self.name or os.environ.get(PLUGIN_NAME, "") or _name_of(type(self)),
            display_name=self.display_name,
            description=self.description,
            icon_svg=self.icon_svg,
            operations=[bound.operation for bound in self.operations.values() if not bound.operation.session],
        )

    async def session_catalogue(self, request: Request) -> Catalogue:
        """Return the operations that only this caller is offered, besides those of ``catalogue``.

        The host asks for each list of operations, and before it calls one that ``catalogue`` does not have; it waits
        30 seconds and takes up to 1 000 operations and 4 MiB. Declared operations (``@operation(..., session=True)``)
        are in ``self.operations``; others are performed by ``session_operation``. What is offered here is not checked
        again before it is called later, for example by a schedule: an operation itself refuses whom it must refuse.
        """
        raise NotImplementedError

    async def session_operation(self, request: Request, params: dict[str, Any]) -> Any:
        """Perform an operation that is not declared, ``request.operation``; results and errors as of a declared one."""
        raise NotImplementedError

    async def post_connect(self, credential: PostConnectCredential) -> Mapping[str, str]:
        """Return metadata to be stored with a credential that has just been connected."""
        raise NotImplementedError

    async def resolve_http_subject(self, http: HTTPSubjectRequest, request: Request) -> Subject:
        """Return who sent an HTTP request; a blank id means the default subject.

        Raises:
            SubjectRejected: the request is refused with its status and text.
        """
        raise NotImplementedError

    @classmethod
    def offers(cls, hook: str) -> bool:
        """Tell whether the subclass overrides this optional method."""
        return getattr(cls, hook) is not getattr(Plugin, hook)


def _name_of(cls: type[Plugin]) -> str:
    name = cls.__name__.lower()
    for suffix in ("plugin", "provider"):
        name = name.removesuffix(suffix) or name
    return name
