"""The IndexedDB suite talks only to a socket: our store's on SQLite or PostgreSQL, a scope's of either, or the one that
``--indexeddb-socket`` names.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.contract.indexeddb.rig import Service, StoreProcess, short_folder
from tests.support.postgres import PostgresServer

LIMITS = {"lock_wait_s": 3, "transaction_idle_s": 20, "snapshot_idle_s": 20}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--indexeddb-socket",
        default=None,
        help="unix socket of a configured IndexedDB provider to test instead of ours",
    )


@pytest.fixture(scope="session")
def foreign_socket(request: pytest.FixtureRequest) -> Path | None:
    text = request.config.getoption("--indexeddb-socket", default=None)
    return None if text is None else Path(text)


@pytest.fixture(scope="session")
def shared_process(foreign_socket: Path | None) -> Iterator[StoreProcess | None]:
    """One store for every test that does not need its own."""
    if foreign_socket is not None:
        yield None
        return
    with short_folder() as folder:
        store = StoreProcess(Path(folder), {"dsn": f"sqlite://{folder}/state/store.db", "limits": LIMITS})
        store.start()
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


@pytest.fixture(params=["provider", "scope", "postgres", "postgres-scope"])
async def service(
    request: pytest.FixtureRequest, foreign_socket: Path | None, shared_process: StoreProcess | None
) -> AsyncIterator[Service]:
    """The service on the provider's own socket, and again through a scope; on SQLite and on PostgreSQL."""
    if foreign_socket is not None:
        if request.param != "provider":
            pytest.skip("another implementation has one socket")
        socket = foreign_socket
    else:
        if request.param.startswith("postgres"):
            store: StoreProcess = request.getfixturevalue("postgres_process")
        else:
            assert shared_process is not None
            store = shared_process
        socket = store.folder / "scope.sock" if request.param.endswith("scope") else store.socket
    made = Service(socket)
    yield made
    await made.close()


@pytest.fixture
def own_process(foreign_socket: Path | None) -> Iterator[StoreProcess]:
    """A store of the test's own, not started."""
    if foreign_socket is not None:
        pytest.skip("the test starts and stops its store")
    with short_folder() as folder:
        store = StoreProcess(Path(folder), {"dsn": f"sqlite://{folder}/store.db", "limits": LIMITS})
        yield store
        if store.process is not None:
            store.stop()
