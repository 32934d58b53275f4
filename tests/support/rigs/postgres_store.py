"""A store's engine opened in the test's own process, and stores as processes, on one real server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import pytest
from gestalt_store.engines.limits import StoreLimits
from gestalt_store.postgres.database import PostgresDatabase
from gestalt_store.postgres.server import PgServer

from tests.support.rigs.postgres import PostgresServer
from tests.support.rigs.store import Service, StoreProcess, short_folder

LIMITS = StoreLimits(lock_wait_s=2, transaction_idle_s=10, snapshot_idle_s=10)
PROCESS_LIMITS = {"lock_wait_s": 2, "transaction_idle_s": 20, "snapshot_idle_s": 20}

Start = Callable[..., StoreProcess]


@pytest.fixture
async def server(postgres_server: PostgresServer) -> AsyncIterator[PgServer]:
    opened = PgServer(postgres_server.dsn, LIMITS)
    yield opened
    await opened.close()


@pytest.fixture
async def database(postgres_server: PostgresServer, server: PgServer) -> AsyncIterator[PostgresDatabase]:
    opened = await server.open(postgres_server.new_schema())
    yield opened
    await opened.close()


@pytest.fixture
def start(postgres_server: PostgresServer) -> Iterator[Start]:
    """Starts store processes, which share one database unless told otherwise."""
    schema = postgres_server.new_schema()
    with ExitStack() as stack:

        def start_one(*, configure: bool = True, **config: object) -> StoreProcess:
            folder = Path(stack.enter_context(short_folder()))
            given = {"dsn": postgres_server.dsn, "schema": schema, "limits": PROCESS_LIMITS, **config}
            process = StoreProcess(folder, given)
            stack.callback(process.stop)
            process.start(configure=configure)
            return process

        yield start_one


@pytest.fixture(scope="module")
def hosts(postgres_server: PostgresServer) -> Iterator[list[StoreProcess]]:
    """Two store processes on one server, as two hosts have them."""
    with ExitStack() as stack:
        processes = []
        for _ in range(2):
            folder = Path(stack.enter_context(short_folder()))
            processes.append(StoreProcess(folder, {"dsn": postgres_server.dsn, "limits": PROCESS_LIMITS}))
            stack.callback(processes[-1].stop)
            processes[-1].start()
        yield processes


@pytest.fixture
async def pair(
    postgres_server: PostgresServer, hosts: list[StoreProcess], shared_db: str
) -> AsyncIterator[tuple[Service, Service]]:
    """One database, through each of the two processes."""
    services = []
    for process in hosts:
        socket = process.folder / f"{shared_db}.sock"
        process.open_scope(shared_db, socket)
        services.append(Service(socket))
    yield services[0], services[1]
    for service in services:
        await service.close()


@pytest.fixture
def shared_db(postgres_server: PostgresServer) -> str:
    """The database of ``pair``."""
    return postgres_server.new_schema()
