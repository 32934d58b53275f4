"""Plugins as invoking needs them: operations, connections, declared invokes. The daemon's wiring builds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gestalt_host.access.credentials.connections import PLUGIN_CONNECTION, Connection, InvocationCredential
from gestalt_host.access.policies.authorizer import PluginAccess
from gestalt_host.access.subjects import Actor
from gestalt_host.errors import PluginAway, ResultUnfit
from gestalt_host.packages.catalogue import CatalogueOperation, PluginCatalogue
from gestalt_host.packages.manifests.rest_model import ConnectionSelector


@dataclass(frozen=True, slots=True)
class OperationResult:
    """What an operation answered. ``status`` is HTTP-like (0 counts as 200), ``body`` usually JSON text.

    Attributes:
        raw: The bytes of a body that is not UTF-8, for whom takes bytes; ``body`` has U+FFFD then.
    """

    status: int
    body: str
    content_type: str = "application/json"
    raw: bytes | None = field(default=None, repr=False)

    def text(self) -> str:
        """Return the body, for whom takes text alone.

        Raises:
            ResultUnfit: it is not UTF-8.
        """
        if self.raw is not None:
            raise ResultUnfit(
                f"the result cannot be handed on: its {len(self.raw)} bytes ({self.content_type}) are no UTF-8 text; "
                "accepted is text, or a call over HTTP"
            )
        return self.body


@dataclass(frozen=True, slots=True)
class DeclaredInvoke:
    """An operation (or surface) of another plugin that a plugin declares to call."""

    plugin: str
    operation: str = ""
    surface: str = ""
    credential_mode: str = ""


Payload = Mapping[str, Any] | bytes
"""A JSON object: as a dict, or as a serialised ``google.protobuf.Struct``, which is never taken apart on its way."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of a plugin's operation, complete."""

    operation: str
    params: Payload
    subject: Actor
    credential: InvocationCredential
    access: PluginAccess
    workflow: Payload | None = None
    invocation_id: str = ""
    invocation_token: str = field(default="", repr=False)
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """For whom, and with which credential, a plugin is asked which operations it offers."""

    subject: Actor
    credential: InvocationCredential
    access: PluginAccess


class SessionCatalogues(Protocol):
    """Asks a plugin for session catalogues: ``plugin_client.PluginClient`` for a plugin process."""

    @property
    def offers_session_catalogue(self) -> bool:
        """Whether the plugin has said that it has them; False until it has started."""
        ...

    async def started(self) -> None:
        """Return at once when the plugin has started. Raises ``PluginUnavailable`` when it does not in time."""

    async def session_catalogue(self, session: Session) -> Mapping[str, CatalogueOperation]:
        """Return the operations that the plugin offers to the subject, by id."""
        ...


class OperationRunner(Protocol):
    """Carries out an invocation: a plugin process's ``plugin_client.PluginClient``, or ``rest.runner.RestRunner``."""

    async def invoke(self, invocation: Invocation) -> OperationResult: ...


@dataclass(frozen=True, slots=True)
class ConfiguredPlugin:
    """A configured plugin.

    Attributes:
        sessions: Where operations for one caller are asked for; None where only those of the catalogue count.
        operations: By the id that callers use (the alias, where ``allowedOperations`` gives one).
        provider_operations: Those ids to the plugin's own, where they differ.
        operation_connections: Operation id to the connection that the catalogue binds it to.
        selectors: Operation id to what chooses its connection by a parameter.
        connections: By internal name; the implicit ``_plugin`` included when it exists.
        default_connection: Name by the rule of config.md 15.3.
        catalogue: As the package has it, before ``allowedOperations``.
        absence: Why the plugin cannot be called now, to be put after its name; blank when it can.
        is_known: Whether its operations are known. They are not where the package could not be used.
    """

    name: str
    runner: OperationRunner
    operations: Mapping[str, CatalogueOperation]
    display_name: str = ""
    description: str = ""
    catalogue: PluginCatalogue | None = None
    provider_operations: Mapping[str, str] = field(default_factory=dict)
    operation_connections: Mapping[str, str] = field(default_factory=dict)
    selectors: Mapping[str, ConnectionSelector] = field(default_factory=dict)
    connections: Mapping[str, Connection] = field(default_factory=dict)
    default_connection: str = PLUGIN_CONNECTION
    sessions: SessionCatalogues | None = None
    invokes: tuple[DeclaredInvoke, ...] = ()
    absence: Callable[[], str] = str
    is_known: bool = True

    def require_known(self) -> None:
        """Refuse to say anything of operations that are not known.

        Raises:
            PluginAway: they are not, and why.
        """
        if not self.is_known:
            raise PluginAway(self.name, self.absence())

    def declared_invoke(self, plugin: str, operation: str) -> DeclaredInvoke | None:
        """Return the declared invoke of that operation, None when this plugin declares none."""
        for item in self.invokes:
            if item.plugin == plugin and item.operation == operation and not item.surface:
                return item
        return None
