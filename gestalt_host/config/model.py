"""The configuration as frozen dataclasses: defaults applied, names trimmed, paths absolute, references checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from gestalt_host.config.declared.connections import AuthMapping, ConnectionParam, CredentialField
from gestalt_host.config.declared.pagination import Pagination
from gestalt_host.config.document import Node
from gestalt_host.config.errors import Place, Problem
from gestalt_sdk.workflow.types import EventMatch, Target

SUPPORTED_API_VERSION = "gestaltd.config/v5"
ACCEPTED_KEYS = "any text, or 64 hexadecimal digits"
"""What ``server.encryptionKey`` may be, for messages."""


class SourceMode(Enum):
    """How a provider's source is named."""

    BUILTIN = "builtin"
    MANIFEST = "path"
    LOCAL_RELEASE = "local release metadata"
    URL = "url"
    PACKAGE = "package"
    GITHUB_RELEASE = "githubRelease"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a provider comes from. ``builtin`` is the name of one that ships inside this distribution, or a word such
    as ``env`` that the host implements itself; ``path`` is absolute."""

    mode: SourceMode
    builtin: str = ""
    path: Path | None = None
    url: str = ""
    package: str = ""
    version: str = ""
    repository: str = ""
    github: tuple[str, str, str] | None = None
    """Repository, tag and asset of a GitHub release."""
    token: str = field(default="", repr=False)

    def __str__(self) -> str:
        return self.builtin or str(self.path or "") or self.url or self.package or "/".join(self.github or ())


@dataclass(frozen=True, slots=True)
class Repository:
    """A package repository: the URL of its index (http, https or file), and the token that its origin wants."""

    name: str
    url: str
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class IndexedDBBinding:
    """The part of an IndexedDB provider that one consumer sees. No ``object_stores``: every store."""

    provider: str
    db: str
    object_stores: tuple[str, ...] = ()


ConnectionMode = Literal["none", "platform", "user"]


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """A connection of the configuration, with the members that invoking operations needs.

    ``mode`` is effective, ``None`` when the configuration says nothing about it and the manifest's
    counts. ``token`` is a platform connection's static token, ``auth_mapping`` how a credential is sent in place of
    ``Authorization: Bearer``.
    """

    name: str
    mode: ConnectionMode | None = None
    display_name: str = ""
    exposure: Literal["", "user", "internal"] = ""
    ref: str = ""
    auth_type: str = ""
    token: str = field(default="", repr=False)
    params: Mapping[str, ConnectionParam] = field(default_factory=dict)
    auth_mapping: AuthMapping | None = None
    credential_fields: tuple[CredentialField, ...] = ()


@dataclass(frozen=True, slots=True)
class AllowedOperation:
    """One row of ``allowedOperations``: the operation is offered as ``alias`` (its own name when blank)."""

    operation: str
    alias: str = ""
    description: str = ""
    allowed_roles: tuple[str, ...] | None = None
    tags: tuple[str, ...] = ()
    place: Place | None = field(default=None, compare=False)
    """Where the configuration has it; None in a manifest."""
    paginate: bool = False
    """Whether every page is fetched: as ``pagination`` says, or where that is None as the manifest says."""
    pagination: Pagination | None = None


@dataclass(frozen=True, slots=True)
class InvokeConfig:
    """An operation that a plugin may call on another plugin."""

    plugin: str
    operation: str = ""
    surface: str = ""
    credential_mode: Literal["", "none", "user"] = ""


@dataclass(frozen=True, slots=True)
class OperationUse:
    """An operation of a plugin that the configuration names, for a check against the plugin's catalogue.

    Attributes:
        place: Where it is written; ``path`` is the dotted path.
        input: What it is given; None where that is not said here, as in a permission.
        input_places: Where each member of the input is written.
        bound: Members of the input that have their value only when the operation is called.
    """

    plugin: str
    operation: str
    place: Place
    path: str
    input: Mapping[str, object] | None = field(default=None, repr=False)
    input_place: Place | None = None
    input_places: Mapping[str, Place] = field(default_factory=dict)
    bound: tuple[str, ...] = ()

    @property
    def input_path(self) -> str:
        """The dotted path of the input."""
        return f"{self.path.rpartition('.')[0]}.input"


@dataclass(frozen=True, slots=True)
class ProviderLimits:
    """What a provider's processes may use. ``memory_bytes``: resident memory of a process and what it started."""

    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    """One entry of ``providers.<kind>`` or of ``plugins``.

    ``kind`` is the key below ``providers`` (``indexeddb``, ``workflow``, ...) or ``plugins``. ``env`` and ``config``
    may hold secrets and are left out of ``repr``.
    """

    kind: str
    name: str
    source: Source
    place: Place
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    config_node: Node | None = field(default=None, repr=False, compare=False)
    """``config`` as it is written, for the places of its keys; None when there is none."""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    default: bool = False
    display_name: str = ""
    description: str = ""
    icon_file: Path | None = None
    """Accepted and not used yet."""
    indexeddb: IndexedDBBinding | None = None
    connections: Mapping[str, ConnectionConfig] = field(default_factory=dict)
    allowed_operations: Mapping[str, AllowedOperation] | None = None
    """Plugins: None offers every operation of the catalogue."""
    invokes: tuple[InvokeConfig, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    """Plugins: ``egress.allowedHosts``, all that may be reached; nothing leaves it to the server's default."""
    rest_base_url: str = ""
    """Plugins: in place of that of the manifest's REST surface."""
    authorization_policy: str = ""
    verify: Literal["", "required"] = ""
    """``required``: its release metadata must be signed by one of ``HostConfig.provider_keys``."""
    limits: ProviderLimits = ProviderLimits()

    @property
    def path(self) -> str:
        """The entry's dotted path."""
        return f"{section_path(self.kind)}.{self.name}"


def section_path(kind: str) -> str:
    """Return the dotted path of the mapping that holds the entries of a kind."""
    return {"plugins": "plugins", "runtime": "runtime.providers"}.get(kind, f"providers.{kind}")


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """Where to listen; a blank host means every interface. An external URL without trailing ``/``, blank when unset.

    Attributes:
        allowed_hosts: Names and addresses that requests may have as Host besides those that always are accepted.
        most_connections: As many may be open at once; fewer where the limit of open files allows no more.
    """

    host: str = ""
    port: int = 8080
    base_url: str = ""
    allowed_hosts: tuple[str, ...] = ()
    most_connections: int = 4096


@dataclass(frozen=True, slots=True)
class OutputLimits:
    """How much of what one provider writes on stdout and stderr reaches the log.

    Attributes:
        bytes_per_second: In the long run; each line counts its own bytes and 256 more.
        burst_bytes: At once, after it was quiet.
        line_bytes: Of one line; what is longer is cut.
    """

    bytes_per_second: int = 128 * 1024
    burst_bytes: int = 1024 * 1024
    line_bytes: int = 16 * 1024


@dataclass(frozen=True, slots=True)
class SupervisionConfig:
    """How long provider processes, and the host itself, may take.

    Attributes:
        start_timeout: For one provider, from its launch until it is ready.
        slow_start: What is not ready by then is named, and the host goes on without it.
        restart_silent: A process that has not answered for that long is started again; None: never.
        shutdown: For everything, from the signal until the host has ended.
    """

    start_timeout: timedelta = timedelta(seconds=120)
    slow_start: timedelta = timedelta(seconds=20)
    restart_silent: timedelta | None = timedelta(seconds=30)
    shutdown: timedelta = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class ServerConfig:
    public: ListenerConfig = ListenerConfig()
    management: ListenerConfig | None = None
    encryption_key: str = field(default="", repr=False)
    encryption_key_place: Place | None = None
    """None when the key is not written, null or a variable that is empty."""
    api_token_ttl: timedelta = timedelta(days=30)
    """Accepted and not used yet: this version issues no API tokens."""
    artifacts_dir: Path | None = None
    """Absolute; None means the configuration directory."""
    provider_output: OutputLimits = OutputLimits()
    supervision: SupervisionConfig = SupervisionConfig()
    egress_deny: bool = False
    """Whether plugins reach only hosts that their ``egress.allowedHosts`` has."""
    selectors: Mapping[str, str] = field(default_factory=dict)
    """``server.providers``: kind to the entry chosen explicitly."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A static authorization policy. ``members`` maps subject ids to roles."""

    name: str
    default: Literal["", "allow", "deny"] = ""
    members: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PermissionConfig:
    """Operations of one plugin that the stored reference may call besides the target's own."""

    plugin: str
    operations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """A config-managed schedule; ``provider`` is resolved, connections have their public names."""

    key: str
    provider: str
    cron: str
    target: Target
    timezone: str = "UTC"
    paused: bool = False
    permissions: tuple[PermissionConfig, ...] = ()


@dataclass(frozen=True, slots=True)
class EventTriggerConfig:
    """A config-managed event trigger; see ``ScheduleConfig``."""

    key: str
    provider: str
    match: EventMatch
    target: Target
    paused: bool = False
    permissions: tuple[PermissionConfig, ...] = ()


@dataclass(frozen=True, slots=True)
class HostConfig:
    """Everything that the configuration files say.

    Attributes:
        files: The layers, leftmost first; ``directory`` is that of the first.
        providers: Kind (the key below ``providers``; ``runtime`` for ``runtime.providers``) to the entries by name.
        indexeddb: Name of the host-wide IndexedDB entry, blank when none can be selected.
        workflow: Name of the default workflow provider, blank when a request has to name one.
        unprovided: What the configuration asks for and this version cannot do; `serve` refuses to start with any.
        unused: Keys that are set and that nothing in this version reads; each is logged when the configuration is read.
        uses: The operations that schedules, triggers and plugins name, in the order of reading.
        unset: Mentions of variables that are not set, where they count as empty.
        repositories: Package repositories by name, besides the built-in one and those of the user.
        provider_keys: Public keys by name; one of them must have signed what an entry with ``verify: required`` uses.
        provider_key_places: Where each of the keys is written.
    """

    files: tuple[Path, ...]
    directory: Path
    server: ServerConfig
    policies: Mapping[str, Policy]
    connections: Mapping[str, ConnectionConfig]
    providers: Mapping[str, Mapping[str, ProviderEntry]]
    plugins: Mapping[str, ProviderEntry]
    schedules: tuple[ScheduleConfig, ...]
    event_triggers: tuple[EventTriggerConfig, ...]
    indexeddb: str = ""
    workflow: str = ""
    unprovided: tuple[Problem, ...] = ()
    unused: tuple[Problem, ...] = ()
    uses: tuple[OperationUse, ...] = ()
    unset: tuple[Problem, ...] = ()
    repositories: Mapping[str, Repository] = field(default_factory=dict)
    provider_keys: Mapping[str, str] = field(default_factory=dict)
    provider_key_places: Mapping[str, Place] = field(default_factory=dict)

    @property
    def entries(self) -> tuple[ProviderEntry, ...]:
        """Every entry of every kind."""
        return (*(entry for entries in self.providers.values() for entry in entries.values()), *self.plugins.values())

    @property
    def artifacts_dir(self) -> Path:
        return self.server.artifacts_dir or self.directory
