"""IndexedDB entries of the configuration: each consumer is bound to a scope of one process, or to a process of its own.

The rules are in contract.md 5.8 and config.md 12.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import structlog

from gestalt_host.packages.languages import LaunchCommand
from gestalt_host.supervisor.about import INDEXEDDB, SERVICES
from gestalt_host.supervisor.errors import ProviderStartFailed
from gestalt_host.supervisor.groups import ProcessGroups
from gestalt_host.supervisor.lifecycle import ProviderIdentity
from gestalt_host.supervisor.process import ProviderProcess
from gestalt_host.supervisor.reports import ProcessReport
from gestalt_host.supervisor.service_sockets import HostService
from gestalt_host.supervisor.spec import ProviderSpec, Timings
from gestalt_host.supervisor.state import State
from gestalt_sdk.common.beats import Beats
from gestalt_sdk.gen.extension.v1 import scopes_pb2, scopes_pb2_grpc
from gestalt_sdk.transport.environment import INDEXEDDB_SOCKET

SCOPES = "indexeddb.scopes"
OPEN_TIMEOUT_S = 30.0
_SERVER_DSN = ("postgres://", "postgresql://", "mysql://", "sqlserver://")

log = structlog.get_logger()

Relay = Callable[[grpc.aio.Channel, Sequence[str]], Callable[[grpc.aio.Server], Sequence[str]]]
"""Makes the ``register`` of a relay to a channel that allows only the named object stores."""


@dataclass(frozen=True, slots=True)
class BoundStore:
    """The binding of a consumer's process: the path of a store's socket, or a host service in front of one."""

    socket: str = ""
    service: HostService | None = None

    @property
    def sockets(self) -> dict[str, str]:
        return {INDEXEDDB_SOCKET: self.socket} if self.socket else {}

    @property
    def services(self) -> tuple[HostService, ...]:
        return (self.service,) if self.service else ()


@dataclass(frozen=True, slots=True)
class _Scope:
    db: str
    object_stores: tuple[str, ...]
    path: str


class _WithoutScopes(ProviderStartFailed):
    """The store offers no scopes, so it has to run once for each binding; raised before it is configured."""


class Store:
    """One configured IndexedDB entry.

    With the capability ``indexeddb.scopes`` it is one process, and every binding is a scope, opened again on the same
    path after a restart. Any other store runs once for each binding with its config rewritten.
    """

    def __init__(
        self,
        spec: ProviderSpec,
        package: str,
        relay: Relay,
        environ: Mapping[str, str] | None = None,
        timings: Timings | None = None,
        beats: Beats | None = None,
        groups: ProcessGroups | None = None,
    ) -> None:
        """Take what to run; ``package``, the address in the store's manifest, tells how its config is rewritten."""
        self.name = spec.name
        self._spec = spec
        self._package = package
        self._relay = relay
        self._environ = environ
        self._timings = timings
        self._beats = beats
        self._groups = groups
        self._scoped: ProviderProcess | None = None
        self._dedicated: dict[tuple[str, tuple[str, ...]], ProviderProcess] = {}
        self._scopes: dict[tuple[str, tuple[str, ...]], _Scope] = {}
        self._binding: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By database: bindings of one are made one after the other, so that they share what the first has started."""

    @property
    def processes(self) -> list[ProviderProcess]:
        return [self._scoped] if self._scoped is not None else list(self._dedicated.values())

    @property
    def ready(self) -> bool:
        return all(process.state is State.READY for process in self.processes)

    @property
    def absence(self) -> str:
        """Why the store cannot be called now and when that may change; blank when it can."""
        return "; ".join(process.absence for process in self.processes if process.absence)

    @property
    def lack(self) -> str:
        """What is not as it should be although the store can be called; blank when nothing is."""
        return "; ".join(process.lack for process in self.processes if process.lack)

    @property
    def outage(self) -> str:
        """Why nobody can work with the store now, to be put after its name; blank when one may, or will in a moment."""
        for process in self.processes:
            if process.state is State.SILENT:
                return f"is silent: {process.absence}"
            if process.is_looping:
                return f"is not available: {process.absence}"
        return ""

    def needed_by(self, consumer: ProviderProcess) -> None:
        """Have calls to the consumer fail at once, naming this store, while it does not answer or keeps ending."""

        def absence() -> str:
            return f'its store "{self.name}" {outage}' if (outage := self.outage) else ""

        for process in self.processes:
            consumer.depend_on(absence, process.calls)

    async def health_problem(self) -> str | None:
        """Return None when every process of the store is ready and healthy, else why one is not."""
        for process in self.processes:
            problem = await process.health_problem()
            if problem is not None:
                return problem
        return None

    def reports(self) -> list[ProcessReport]:
        """Return how each process of the store is, those of bindings with the database that they serve."""
        if self._scoped is not None:
            return [self._scoped.report()]
        return [replace(process.report(), binding=db) for (db, _), process in self._dedicated.items()]

    async def start(self) -> None:
        """Start the store's process, if one serves all its bindings.

        Raises:
            ProviderStartFailed: the store does not come up.
        """
        process = self._scoped = ProviderProcess(
            self._spec,
            self._environ,
            self._timings,
            check_identity=_require_scopes,
            before_ready=self._open_scopes,
            beats=self._beats,
            groups=self._groups,
        )
        try:
            await process.start()
        except ProviderStartFailed as error:
            self._scoped = None
            if not isinstance(error.__cause__, _WithoutScopes):
                raise
            log.info(
                "store has no scopes; it runs once for each binding", event_name="store.unscoped", provider=self.name
            )

    async def bind(self, db: str, object_stores: Sequence[str] = (), user: str = "") -> BoundStore:
        """Return the consumer's part of the store; the same binding again is the same part, also at the same time.

        Args:
            user: The consumer, ``KIND/NAME``, for whoever looks at the sockets.
        Raises:
            ProviderStartFailed: the store refuses the scope, or the process of the binding does not come up.
        """
        async with self._binding[db]:
            return await self._bind(db, tuple(object_stores), user)

    async def _bind(self, db: str, object_stores: tuple[str, ...], user: str) -> BoundStore:
        key = (db, object_stores)
        if self._scoped is not None:
            if key not in self._scopes:
                path = str(self._scoped.directory / f"scope-{len(self._scopes)}.sock")
                # Noted before the call: a store that restarts during it opens all noted scopes.
                self._scopes[key] = scope = _Scope(db, key[1], path)
                try:
                    await self._open(scope)
                except ProviderStartFailed:
                    del self._scopes[key]
                    raise
                self._scoped.serves(Path(path))
            path = self._scopes[key].path
            self._scoped.about.note_user(path, INDEXEDDB, INDEXEDDB_SOCKET, user)
            return BoundStore(socket=path)
        process = await self._dedicated_process(db)
        if not object_stores:
            process.about.note_user(str(process.socket), SERVICES["indexeddb"], INDEXEDDB_SOCKET, user)
            return BoundStore(socket=str(process.socket))
        register = self._relay(process.channel, key[1])
        return BoundStore(service=HostService(INDEXEDDB_SOCKET, register))

    async def reload(self, command: LaunchCommand, config: Mapping[str, object]) -> None:
        """Start its processes again with another command and configuration; every binding stays where it is.

        Raises:
            ProviderStartFailed, ProviderDown: as ``ProviderProcess.reload``.
        """
        self._spec = replace(self._spec, command=command, config=config)
        if self._scoped is not None:
            await self._scoped.reload(command, config)
            return
        configs = [scoped_config(self._package, config, db) for db, _ in self._dedicated]
        reloads = (
            process.reload(command, item) for process, item in zip(self._dedicated.values(), configs, strict=True)
        )
        outcomes = await asyncio.gather(*reloads, return_exceptions=True)
        for failure in filter(None, outcomes):
            raise failure

    async def stop(self, grace_s: float | None = None) -> None:
        for process in self.processes:
            await process.stop(grace_s)

    async def _dedicated_process(self, db: str) -> ProviderProcess:
        key = (db, ())
        if key not in self._dedicated:
            config = scoped_config(self._package, self._spec.config, db)
            spec = replace(self._spec, config=config)
            process = ProviderProcess(spec, self._environ, self._timings, beats=self._beats, groups=self._groups)
            await process.start()
            self._dedicated[key] = process
        return self._dedicated[key]

    async def _open_scopes(self) -> None:
        for scope in self._scopes.values():
            await self._open(scope)

    async def _open(self, scope: _Scope) -> None:
        assert self._scoped is not None
        stub = scopes_pb2_grpc.IndexedDBScopesStub(self._scoped.channel)
        request = scopes_pb2.OpenScopeRequest(db=scope.db, object_stores=scope.object_stores, socket_path=scope.path)
        try:
            await stub.OpenScope(request, timeout=OPEN_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            text = error.details() or error.code().name
            raise ProviderStartFailed(f'indexeddb "{self.name}": open scope "{scope.db}": {text}') from error


def _require_scopes(identity: ProviderIdentity) -> None:
    if SCOPES not in identity.capabilities:
        raise _WithoutScopes(f"the store does not offer {SCOPES}")


def scoped_config(package: str, config: Mapping[str, Any], db: str) -> dict[str, Any]:
    """Return the store's config for one binding.

    Raises:
        ProviderStartFailed: this store has no namespace that a config can choose.
    """
    scoped = dict(config)
    if package.endswith("/indexeddb/relationaldb"):
        if _is_server_dsn(config.get("dsn")):
            for key in ("table_prefix", "prefix"):
                scoped.pop(key, None)
            scoped["schema"] = db
        else:
            scoped.pop("schema", None)
            scoped["table_prefix"] = scoped["prefix"] = f"{db}_"
    elif package.endswith("/indexeddb/mongodb"):
        scoped["database"] = db
    elif package.endswith("/indexeddb/dynamodb"):
        scoped["table"] = db
    else:
        raise ProviderStartFailed(
            f"scoped indexeddb bindings need a provider with config-level namespace support or the capability "
            f"{SCOPES}; {package or 'this one'} has neither"
        )
    return scoped


def _is_server_dsn(dsn: Any) -> bool:
    if not isinstance(dsn, str) or not dsn:
        return True
    return dsn.startswith(_SERVER_DSN) or "@tcp(" in dsn or "@unix(" in dsn
