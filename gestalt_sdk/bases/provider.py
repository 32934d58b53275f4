"""Give every provider its base class: identity and life cycle, in Python's own types."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

import grpc

from gestalt_sdk.common.beats import Beats
from gestalt_sdk.transport.environment import INDEXEDDB_SOCKET, binding_variable
from gestalt_sdk.transport.host_channels import HostChannels

if TYPE_CHECKING:
    from gestalt_sdk.bases.metrics import MetricFamily
    from gestalt_sdk.indexeddb import IndexedDB


class ProviderKind(Enum):
    """Name a contract kind; the value is the word that manifests and `gestalt_sdk.run` use for it."""

    INTEGRATION = "integration"
    AUTHENTICATION = "authentication"
    INDEXEDDB = "indexeddb"
    SECRETS = "secrets"
    CACHE = "cache"
    S3 = "s3"
    WORKFLOW = "workflow"
    AUTHORIZATION = "authorization"
    RUNTIME = "runtime"
    AGENT = "agent"
    EXTERNAL_CREDENTIAL = "external_credential"


@dataclass(frozen=True, slots=True)
class Notice:
    """Say what is not as it should be although the provider does its work.

    Attributes:
        name: For programs; a label of a metric.
        text: For people: what is wrong, and how much. It names no id of a subject, no input and no result.
        value: How much, in the unit that the text names.
    """

    name: str
    text: str
    value: float


@dataclass(frozen=True, slots=True)
class ConfigFault:
    """Say what is wrong with a provider's configuration.

    Attributes:
        key: Dotted path below ``config``; empty for the configuration as a whole.
        reason: What is wrong and what would be accepted, put after the key. It shows no value that may be a secret.
        is_warning: The configuration can be used all the same.
    """

    key: str
    reason: str
    is_warning: bool = False

    def __str__(self) -> str:
        return f"{self.key} {self.reason}".lstrip()


class Provider:
    """Be one provider process: subclass it, add services in ``register``, hand it to ``gestalt_sdk.serving.serve``.

    The host drives it in this order: identity, ``configure``, identity again, ``start`` (workflow providers only), then
    calls of its services, ``health`` at any time. ``drain`` and ``close`` follow a signal or the host's death. Of a
    plugin it asks neither ``start``, ``health``, ``notices`` and ``metrics`` nor ``warnings``: its service has no place
    for them.
    """

    kind: ClassVar[ProviderKind]
    display_name: str = ""
    description: str = ""
    version: str = ""
    capabilities: Sequence[str] = ()
    """Extensions this provider serves, for example ``indexeddb.scopes``."""
    event_loop_hung_after_s: float = math.inf
    """Seconds after which the runtime ends a process whose event loop does nothing but one thing; by default never."""

    def __init__(self) -> None:
        self.name = ""
        """The configured name, known from ``configure`` on."""
        self.warnings: list[str] = []
        """Shown by the host after ``configure``; for example unknown configuration keys."""
        self.host_channels = HostChannels()
        """Channels to the services that the host gives this process; closed after ``close``."""
        self.beats = Beats()
        """Of the loops of this provider. The health check names those that are silent; a hung one ends the process."""
        self.under_way: dict[asyncio.Task[object], str] = {}
        """What each task executes; the log names it when the event loop does nothing else. Plugins: operations."""
        self.drain_s: float | None = None
        """Seconds that the host gives ``drain``, as the runtime was told; None when it was not."""
        self.configured_event = asyncio.Event()
        """Set by the runtime when ``configure`` has succeeded; gRPC health reports SERVING from then on."""
        self.ending_event = asyncio.Event()
        """Set by the runtime after ``drain``: streams that would stay open end, calls that run are still answered."""

    def indexeddb(self, binding: str = "") -> IndexedDB:
        """Return a client of the IndexedDB service that the host gives this process; it dials when it is first used.

        Raises:
            EnvironmentUnusable: the host gives none under that binding name.
        """
        from gestalt_sdk.indexeddb import IndexedDB

        return IndexedDB.over(self.host_channels.channel(binding_variable(INDEXEDDB_SOCKET, binding)))

    def register(self, server: grpc.aio.Server) -> Sequence[str]:
        """Add this provider's servicers; return the full service names, for reflection and health."""
        raise NotImplementedError

    async def configure(self, name: str, config: dict[str, Any]) -> None:
        """Take the configuration. May be called again; one that is refused leaves the earlier one in force.

        Raises:
            Exception: any; its text reaches the host as ``configure provider: ...``.
        """

    async def check(self, name: str, config: Mapping[str, object]) -> Sequence[ConfigFault]:
        """Return what is wrong with a configuration; override it to be judged by ``gestaltd validate --runtime``.

        Find what ``configure`` would refuse or warn of, as far as it can be known without opening, creating or writing
        anything and without calling anybody, and change nothing. Host services have their variables, and no sockets.

        Raises:
            ValueError, GestaltError: as in ``configure``; the text is a fault of the whole.
        """
        raise NotImplementedError

    async def start(self) -> None:
        """Begin background work. Called once everything that this provider calls is ready; idempotent."""

    async def health(self) -> None:
        """Return when ready; raise with a reason when not."""

    def notices(self) -> Sequence[Notice]:
        """Return what is not as it should be although calls can be served; asked for with ``health``."""
        return ()

    async def metrics(self) -> Sequence[MetricFamily]:
        """Return the figures of this provider as they are now; override it to be asked (``provider.metrics``)."""
        return ()

    async def drain(self) -> None:
        """Stop taking on work and finish what is running; calls are still answered meanwhile."""

    async def close(self) -> None:
        """Release everything; the server has stopped."""
