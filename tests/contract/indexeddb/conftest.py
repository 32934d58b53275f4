"""The IndexedDB suite talks only to a socket: our store's on SQLite or PostgreSQL, a scope's of either, or that of the
store that ``--store-command`` or ``--indexeddb-socket`` names; and through the host's relay, which keeps the store's
own status codes and texts but for stores that the binding may not use (contract.md 5.5).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest

from gestalt_host.hostservices.indexeddb_relay import indexeddb_relay
from gestalt_host.verification.suites.indexeddb.client import new_name
from gestalt_host.verification.suites.indexeddb.object_stores import ANY_NAMES
from gestalt_sdk.transport.channels import SERVER_OPTIONS, open_channel
from gestalt_sdk.transport.environment import Address
from tests.support.commands import STORE
from tests.support.fakes.store_engine import serving_memory_store
from tests.support.rigs.postgres import PostgresServer
from tests.support.rigs.store import LIMITS, Service, StoreProcess, short_folder


@pytest.fixture(scope="session")
def foreign_socket(request: pytest.FixtureRequest) -> Path | None:
    text = request.config.getoption("--indexeddb-socket")
    return None if text is None else Path(text)


@pytest.fixture(scope="session")
def shared_process(foreign_socket: Path | None) -> Iterator[StoreProcess | None]:
    """One store for every test that does not need its own."""
    if foreign_socket is not None:
        yield None
        return
    with short_folder() as folder:
        (Path(folder) / "state").mkdir()
        dsn = f"sqlite://{folder}/state/store.db"
        store = StoreProcess(Path(folder), {"dsn": dsn} if STORE.replaced else {"dsn": dsn, "limits": LIMITS})
        store.start()
        if not STORE.replaced:
            store.open_scope("binding", Path(folder) / "scope.sock")
        yield store
        store.stop()


@pytest.fixture(scope="session")
def postgres_process(postgres_server: PostgresServer) -> Iterator[StoreProcess]:
    """The same on PostgreSQL."""
    with short_folder() as folder:
        config = {"dsn": postgres_server.dsn, "schema": postgres_server.new_schema(), "limits": LIMITS}
        store = StoreProcess(Path(folder), config)
        store.start()
        store.open_scope("binding", Path(folder) / "scope.sock")
        yield store
        store.stop()


RELAYED_STORES = 60
"""Most stores that one test makes behind a relay."""


class Relay:
    """The host's relay to a store without scopes, on a socket of its own, for some store names."""

    def __init__(self, store: StoreProcess) -> None:
        self.names = [new_name() for _ in range(RELAYED_STORES)]
        self.socket = store.folder / f"relay{self.names[0][-8:]}.sock"
        self._channel = open_channel(Address(f"unix:{store.socket}"))
        self._server = grpc.aio.server(options=SERVER_OPTIONS)
        indexeddb_relay(self._channel, [*self.names, *ANY_NAMES])(self._server)
        self._server.add_insecure_port(f"unix:{self.socket}")

    async def __aenter__(self) -> Relay:
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(0)
        await self._channel.close()


WAYS = ("scope", "relay", "postgres", "postgres-scope", "memory")
OURS = [pytest.param(way, marks=pytest.mark.ours("store")) for way in WAYS]


@pytest.fixture(params=["provider", *OURS])
async def service(
    request: pytest.FixtureRequest, foreign_socket: Path | None, shared_process: StoreProcess | None
) -> AsyncIterator[Service]:
    """The service on the provider's own socket, through a scope and through the host's relay; on both engines."""
    if foreign_socket is not None:
        socket = foreign_socket
    elif request.param == "memory":
        with short_folder() as folder:
            async with serving_memory_store(Path(folder) / "p.sock"):
                made = Service(Path(folder) / "p.sock")
                yield made
                await made.close()
        return
    else:
        if request.param.startswith("postgres"):
            store: StoreProcess = request.getfixturevalue("postgres_process")
        else:
            assert shared_process is not None
            store = shared_process
        if request.param == "relay":
            async with Relay(store) as relay:
                made = Service(relay.socket, relay.names)
                yield made
                await made.close()
            return
        socket = store.folder / "scope.sock" if request.param.endswith("scope") else store.socket
    made = Service(socket, scoped=foreign_socket is None and request.param.endswith("scope"))
    yield made
    await made.close()


@pytest.fixture
def own_process() -> Iterator[StoreProcess]:
    """A store of the test's own, not started."""
    with short_folder() as folder:
        store = StoreProcess(Path(folder), {"dsn": f"sqlite://{folder}/store.db", "limits": LIMITS})
        yield store
        if store.process is not None:
            store.stop()
