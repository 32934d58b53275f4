from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from gestalt_store.config import read_config

from gestalt_host.hostservices.indexeddb_relay import indexeddb_relay
from gestalt_host.packages import LaunchCommand, find_manifest, read_manifest
from gestalt_host.supervisor import BoundStore, ProviderSpec, ProviderStartFailed, Store
from gestalt_host.supervisor.service_sockets import ServiceSockets
from gestalt_host.supervisor.stores import scoped_config
from gestalt_sdk.bases.provider import ProviderKind
from gestalt_sdk.indexeddb import AlreadyExists, IndexedDB, IndexSchema, NotFound, ObjectStoreSchema, StoreRefused
from gestalt_sdk.transport.environment import INDEXEDDB_SOCKET, Address
from tests.support.rigs.supervisor import QUICK
from tests.support.waiting import eventually

SOURCE = Path(__file__).parents[4] / "providers" / "indexeddb_store"
RELATIONAL = "example.org/owner/providers/indexeddb/relationaldb"
OURS = read_manifest(find_manifest(SOURCE)).source
WITHOUT_SCOPES = """
import sys
from gestalt_sdk.serving.process import serve
from gestalt_store.provider import StoreProvider

class Plain(StoreProvider):
    capabilities = ()

if __name__ == "__main__":
    sys.exit(serve(Plain))
"""

MakeStore = Callable[..., Awaitable[Store]]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[MakeStore]:
    """Starts our store, with or without scopes; stops it after the test."""
    started: list[Store] = []

    async def start(*, scopes: bool = True, package: str = OURS, **config: object) -> Store:
        environ = {**os.environ}
        if scopes:
            target = "gestalt_store.provider:provider"
            command = LaunchCommand((sys.executable, "-m", "gestalt_sdk.run", str(SOURCE), target, "indexeddb"))
        else:
            program = tmp_path / "plain_store.py"
            program.write_text(WITHOUT_SCOPES)
            command = LaunchCommand((sys.executable, str(program)), {"PYTHONPATH": str(SOURCE)})
        config.setdefault("dsn", f"sqlite://{tmp_path}/state.db")
        spec = ProviderSpec("main", ProviderKind.INDEXEDDB, command, config)
        made = Store(spec, package, indexeddb_relay, environ, QUICK)
        started.append(made)
        await made.start()
        return made

    yield start
    for made in started:
        await made.stop(2)


@pytest.fixture
async def connect(tmp_path: Path) -> AsyncIterator[Callable[[BoundStore], Awaitable[IndexedDB]]]:
    """A client of a binding, through its relay where it has one."""
    clients: list[IndexedDB] = []
    relays: list[ServiceSockets] = []

    async def open_client(bound: BoundStore) -> IndexedDB:
        path = bound.socket
        if bound.service is not None:
            directory = tmp_path / f"relay{len(relays)}"
            directory.mkdir()
            servers = ServiceSockets((bound.service,), directory)
            await servers.start()
            relays.append(servers)
            path = servers.paths[INDEXEDDB_SOCKET]
        client = IndexedDB.connect(Address(f"unix:{path}"))
        clients.append(client)
        return client

    yield open_client
    for client in clients:
        await client.close()
    for servers in relays:
        await servers.stop()


Connect = Callable[[BoundStore], Awaitable[IndexedDB]]


async def test_one_process_serves_every_binding_apart(store: MakeStore, connect: Connect) -> None:
    main = await store()
    one, two = await connect(await main.bind("one")), await connect(await main.bind("two"))
    for client in (one, two):
        await client.create_object_store("items")
    await one.store("items").put({"id": "a", "of": "one"})
    await two.store("items").put({"id": "a", "of": "two"})
    assert (await one.store("items").get("a"))["of"] == "one"
    assert (await two.store("items").get("a"))["of"] == "two"
    assert len(main.processes) == 1
    assert await main.health_problem() is None


async def test_the_same_binding_is_the_same_socket(store: MakeStore) -> None:
    main = await store()
    first = await main.bind("one")
    assert await main.bind("one") == first
    assert await main.bind("one", ["items"]) != first
    assert first.sockets == {INDEXEDDB_SOCKET: first.socket}
    assert first.services == ()


async def test_scopes_are_open_again_before_a_restarted_store_is_ready(store: MakeStore, connect: Connect) -> None:
    main = await store()
    bound = await main.bind("one")
    client = await connect(bound)
    await client.create_object_store("items")
    await client.store("items").put({"id": "a", "n": 1})
    (process,) = main.processes

    os.kill(process.pid or 0, signal.SIGKILL)

    async def restarted() -> bool | None:
        return True if process.restarts == 1 and main.ready else None

    await eventually(restarted)
    assert Path(bound.socket).exists()
    assert (await client.store("items").get("a"))["n"] == 1


async def test_a_removed_socket_of_a_scope_is_told_until_the_store_is_started_again(store: MakeStore) -> None:
    main = await store()
    path = Path((await main.bind("one")).socket)
    assert main.lack == ""
    path.unlink()
    assert "a socket of it has been removed" in main.lack
    (process,) = main.processes
    os.kill(process.pid or 0, signal.SIGTERM)

    async def mended() -> bool | None:
        return True if process.restarts == 1 and main.ready and not main.lack and path.exists() else None

    await eventually(mended)


async def test_a_scope_refuses_other_object_stores(store: MakeStore, connect: Connect) -> None:
    main = await store()
    client = await connect(await main.bind("one", ["items"]))
    await client.create_object_store("items")
    with pytest.raises(NotFound):
        await client.create_object_store("others")


async def test_a_store_that_does_not_start_is_named(store: MakeStore) -> None:
    with pytest.raises(ProviderStartFailed, match=r'^indexeddb "main": configure provider: .*dsn'):
        await store(dsn="nonsense://x")


async def test_a_refused_scope_is_named_and_forgotten(store: MakeStore) -> None:
    main = await store()
    with pytest.raises(ProviderStartFailed, match=r'^indexeddb "main": open scope "": '):
        await main.bind("")
    with pytest.raises(ProviderStartFailed):
        await main.bind("")


async def test_a_store_without_scopes_runs_once_for_each_binding(
    store: MakeStore, connect: Connect, tmp_path: Path
) -> None:
    main = await store(scopes=False, package=RELATIONAL)
    assert main.processes == []
    one, two = await connect(await main.bind("one")), await connect(await main.bind("two"))
    await main.bind("one")
    assert len(main.processes) == 2
    for client in (one, two):
        await client.create_object_store("items")
    await one.store("items").put({"id": "a", "of": "one"})
    assert await two.store("items").find("a") is None
    assert main.ready


@pytest.mark.parametrize("scopes", [True, False])
async def test_a_database_that_is_bound_twice_at_once_is_the_same(store: MakeStore, scopes: bool) -> None:
    main = await store(scopes=scopes, package=OURS if scopes else RELATIONAL)
    one, again, two = await asyncio.gather(main.bind("one"), main.bind("one"), main.bind("two"))
    assert one.socket == again.socket != two.socket
    assert len(main.processes) == (1 if scopes else 2)
    assert all(Path(bound.socket).is_socket() for bound in (one, again, two))


async def test_a_store_that_cannot_be_scoped_is_refused(store: MakeStore) -> None:
    main = await store(scopes=False, package="example.org/owner/another/store")
    with pytest.raises(ProviderStartFailed, match="need a provider with config-level namespace support"):
        await main.bind("one")


async def test_the_relay_lets_only_the_named_stores_through(store: MakeStore, connect: Connect) -> None:
    main = await store(scopes=False, package=RELATIONAL)
    bound = await main.bind("one", ["items", "more"])
    assert bound.socket == ""
    allowed, everything = await connect(bound), await connect(await main.bind("one"))
    assert len(main.processes) == 1
    await everything.create_object_store("others")

    schema = ObjectStoreSchema(indexes=(IndexSchema("by_n", ("n",)),))
    await allowed.create_object_store("items", schema)
    for number in range(5):
        await allowed.store("items").put({"id": f"{number}", "n": number})
    assert await allowed.store("items").count() == 5
    assert await allowed.store("items").index("by_n").get_all_keys(3) == ["3"]
    async with allowed.store("items").cursor() as cursor:
        assert [entry.primary_key async for entry in cursor] == ["0", "1", "2", "3", "4"]
    async with allowed.transaction(["items"], "readwrite") as transaction:
        await transaction.store("items").put({"id": "t", "n": 9})
        assert (await transaction.store("items").get("t"))["n"] == 9
    assert (await everything.store("items").get("t"))["n"] == 9

    for refused in (
        allowed.create_object_store("others"),
        allowed.delete_object_store("others"),
        allowed.store("others").get("x"),
        allowed.store("others").put({"id": "x"}),
        allowed.store("others").get_all(),
        allowed.store("others").index("by_n").get(1),
    ):
        with pytest.raises(NotFound, match="datastore: not found"):
            await refused
    with pytest.raises(NotFound):
        async with allowed.store("others").cursor() as cursor:
            await cursor.next()
    with pytest.raises((NotFound, StoreRefused), match="datastore: not found"):
        async with allowed.transaction(["items", "others"], "readwrite") as transaction:
            await transaction.store("others").put({"id": "x"})


async def test_the_relay_passes_the_errors_of_the_store_on(store: MakeStore, connect: Connect) -> None:
    main = await store(scopes=False, package=RELATIONAL)
    client = await connect(await main.bind("one", ["items"]))
    with pytest.raises(NotFound):
        await client.store("items").get("x")
    await client.create_object_store("items")
    await client.store("items").add({"id": "a"})
    with pytest.raises(AlreadyExists):
        await client.store("items").add({"id": "a"})


@pytest.mark.parametrize(
    ("package", "config", "expected"),
    [
        (
            RELATIONAL,
            {"dsn": "sqlite://x.db", "schema": "old", "keep": 1},
            {"dsn": "sqlite://x.db", "table_prefix": "D_", "prefix": "D_", "keep": 1},
        ),
        (
            RELATIONAL,
            {"dsn": "postgresql://h/x", "table_prefix": "t_", "prefix": "t_"},
            {"dsn": "postgresql://h/x", "schema": "D"},
        ),
        (RELATIONAL, {"dsn": "user@tcp(h:1)/x"}, {"dsn": "user@tcp(h:1)/x", "schema": "D"}),
        (RELATIONAL, {}, {"schema": "D"}),
        ("x.org/a/b/indexeddb/mongodb", {"database": "old"}, {"database": "D"}),
        ("x.org/a/b/indexeddb/dynamodb", {"region": "r"}, {"region": "r", "table": "D"}),
    ],
)
def test_config_is_rewritten_for_a_binding(
    package: str, config: dict[str, object], expected: dict[str, object]
) -> None:
    assert scoped_config(package, config, "D") == expected


@pytest.mark.parametrize("dsn", ["sqlite://x.db", "postgresql://h/x"])
def test_a_host_without_scopes_can_give_each_binding_a_database_of_our_store(dsn: str) -> None:
    bound = [read_config(scoped_config(OURS, {"dsn": dsn}, db)) for db in ("one", "two")]
    assert [config.db for config, _ in bound] == ["one", "two"]
    assert [warnings for _, warnings in bound] == [[], []]


@pytest.mark.parametrize("scopes", [True, False])
async def test_a_reload_keeps_every_binding_and_what_is_in_it(store: MakeStore, connect: Connect, scopes: bool) -> None:
    main = await store(scopes=scopes, package=RELATIONAL)
    clients = [await connect(await main.bind(name)) for name in ("one", "two")]
    for number, client in enumerate(clients):
        await client.create_object_store("items")
        await client.store("items").put({"id": "a", "of": number})
    before = [process.pid for process in main.processes]
    command, config = main.processes[0].spec.command, dict(main._spec.config)
    await main.reload(command, config)
    assert main.ready
    assert not {process.pid for process in main.processes} & {*before}
    assert [(await client.store("items").get("a"))["of"] for client in clients] == [0, 1]
