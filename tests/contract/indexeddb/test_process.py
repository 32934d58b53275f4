"""The store as a process: configuration, scopes, files, other processes, restarts, kills."""

from __future__ import annotations

import asyncio
import random
import resource
import signal
import sqlite3
import stat
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from gestalt_host.verification.outcomes import Broken
from gestalt_host.verification.suites.indexeddb.client import Code, Refused
from gestalt_host.verification.suites.indexeddb.messages import index, record
from gestalt_sdk.gen.extension.v1 import batch_pb2, scopes_pb2, scopes_pb2_grpc
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.gen.v1 import runtime_pb2_grpc
from tests.support.rigs.grpc_calls import described, services, serving
from tests.support.rigs.store import Service, StoreProcess, command, short_folder
from tests.support.waiting import eventually

pytestmark = pytest.mark.ours("store")
IDLE = {"lock_wait_s": 5, "transaction_idle_s": 0.2, "snapshot_idle_s": 0.2}


async def count(service: Service, store: str) -> int:
    return int((await service.call("Count", pb.ObjectStoreRangeRequest(store=store))).count)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_before_configure_everything_says_so(own_process: StoreProcess) -> None:
    own_process.start(configure=False)
    service = Service(own_process.socket)
    life = runtime_pb2_grpc.ProviderLifecycleStub(service.channel)
    health = await life.HealthCheck(Empty())
    assert not health.ready
    assert "not configured" in health.message
    code, text = await service.refused("Get", pb.ObjectStoreRequest(store="a", id="b"))
    assert code is Code.FAILED_PRECONDITION
    assert "not configured" in text
    for stream in (service.opening_cursor().ended(), service.opening_transaction().ended()):
        assert (await stream)[0] is Code.FAILED_PRECONDITION
    with pytest.raises(grpc.RpcError, match="not configured"):
        own_process.open_scope("db", own_process.folder / "x.sock")
    own_process.configure(own_process.config)
    assert (await life.HealthCheck(Empty())).ready
    identity = await life.GetProviderIdentity(Empty())
    assert identity.min_protocol_version == identity.max_protocol_version == 3
    assert {"indexeddb.scopes", "indexeddb.batch", "indexeddb.prefetch"} <= set(identity.capabilities)
    await service.close()


async def test_a_refused_configuration_leaves_the_earlier_one_in_force(own_process: StoreProcess) -> None:
    own_process.start()
    service = Service(own_process.socket)
    await service.create("s")
    await service.put("s", id="a")
    refused: list[dict[str, Any]] = [
        {},
        {"dsn": "nonsense"},
        {"dsn": "sqlite:///proc/none/x.db"},
        {**own_process.config, "limits": {"lock_wait_s": "x"}},
    ]
    for config in refused:
        with pytest.raises(grpc.RpcError, match="configure provider: "):
            own_process.configure(config)
        assert await service.keys("s") == ["a"]
    own_process.configure({"dsn": f"sqlite://{own_process.folder}/other.db"})
    assert (await service.refused("Get", pb.ObjectStoreRequest(store="s", id="a")))[0] is Code.NOT_FOUND
    own_process.configure({**own_process.config, "table_prefix": "x_"})
    await service.create("s")
    assert await service.keys("s") == []
    own_process.configure({**own_process.config, "limits": {"lock_wait_s": 1}})
    assert await service.keys("s") == ["a"]
    await service.close()


async def test_a_missing_directory_is_refused_and_not_made(own_process: StoreProcess) -> None:
    """A mistyped path would otherwise be a new, empty database."""
    own_process.start(configure=False)
    missing = own_process.folder / "deep" / "state"
    with pytest.raises(grpc.RpcError) as refused:
        own_process.configure({"dsn": f"sqlite://{missing}/s.db"})
    for part in (f"database {missing}/s.db", f"directory {missing} does not exist", f"mkdir -p {missing}"):
        assert part in refused.value.details()
    assert not missing.parent.exists()
    missing.mkdir(parents=True)
    own_process.configure({"dsn": f"sqlite://{missing}/s.db"})


async def test_files_are_private(own_process: StoreProcess) -> None:
    folder = own_process.folder / "state"
    folder.mkdir(mode=0o755)
    own_process.config = {"dsn": f"sqlite://{folder}/s.db"}
    own_process.start()
    own_process.open_scope("w", own_process.folder / "w.sock")
    service = Service(own_process.folder / "w.sock")
    await service.create("s")
    assert {mode_of(path) for path in folder.iterdir()} == {0o600}
    assert mode_of(own_process.socket) == mode_of(own_process.folder / "w.sock") == 0o600
    assert {"s.db", "s.w.db"} <= {path.name for path in folder.iterdir()}
    await service.close()


async def test_scopes_share_nothing_but_their_own_database(own_process: StoreProcess) -> None:
    own_process.start()
    folder = own_process.folder
    for db, name, stores in (("one", "a", ()), ("one", "b", ()), ("two", "c", ()), ("one", "d", ("s", "other"))):
        own_process.open_scope(db, folder / f"{name}.sock", *stores)
        own_process.open_scope(db, folder / f"{name}.sock", *stores)  # the same again is accepted
    assert {path.name for path in folder.glob("store.*.db")} == set(), "nothing is opened before it is used"
    one, same, two, limited = (Service(folder / f"{name}.sock") for name in "abcd")
    root = Service(own_process.socket)
    await one.create("s", index("n", "n"))
    await one.create("hidden")
    await one.put("s", id="k", n=1)
    assert await same.keys("s") == await limited.keys("s") == ["k"]
    for stranger in (two, root):
        assert (await stranger.refused("Get", pb.ObjectStoreRequest(store="s", id="k")))[0] is Code.NOT_FOUND
    hidden = [
        limited.refused("Get", pb.ObjectStoreRequest(store="hidden", id="k")),
        limited.refused("CreateObjectStore", pb.CreateObjectStoreRequest(name="hidden")),
        limited.refused("DeleteObjectStore", pb.DeleteObjectStoreRequest(name="hidden")),
    ]
    assert {code for code, _ in await asyncio.gather(*hidden)} == {Code.NOT_FOUND}
    stream = limited.opening_transaction()
    begin = pb.BeginTransactionRequest(stores=["s", "hidden"], mode=pb.TRANSACTION_READWRITE)
    await stream.send(pb.TransactionClientMessage(begin=begin))
    assert (await stream.ended())[0] is Code.NOT_FOUND
    cursor = limited.opening_cursor()
    await cursor.send(pb.CursorClientMessage(open=pb.OpenCursorRequest(store="hidden")))
    assert (await cursor.ended())[0] is Code.NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await limited.batch.Apply(batch_pb2.ApplyRequest(entries=[batch_pb2.ApplyEntry(store="hidden", delete="x")]))
    assert caught.value.code() is Code.NOT_FOUND
    await limited.create("other")
    assert await one.keys("other") == []
    transaction = await one.transaction("s")
    await transaction.put("s", id="k", n=2)
    with pytest.raises(Refused):
        await asyncio.wait_for(limited.put("s", id="k", n=3), 10)  # one writer and one set of locks for both sockets
    for service in (one, same, two, limited, root):
        await service.close()


async def test_scopes_are_refused_closed_and_described(own_process: StoreProcess) -> None:
    own_process.start()
    path = own_process.folder / "s.sock"
    own_process.open_scope("db", path, "a")
    for db, socket, code in (
        ("", path, Code.INVALID_ARGUMENT),
        ("db", Path("relative.sock"), Code.INVALID_ARGUMENT),
        ("db", Path("/nowhere/x.sock"), Code.INVALID_ARGUMENT),
        ("other", path, Code.ALREADY_EXISTS),
        ("db", path, Code.ALREADY_EXISTS),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            own_process.open_scope(db, socket)
        assert caught.value.code() is code
    names = await asyncio.to_thread(services, path)
    assert {"gestalt.provider.v1.IndexedDB", "gestalt.extension.v1.IndexedDBBatch", "grpc.health.v1.Health"} <= names
    assert not {"gestalt.extension.v1.IndexedDBScopes", "gestalt.provider.v1.ProviderLifecycle"} & names
    assert await asyncio.to_thread(described, path, "gestalt.provider.v1.IndexedDB")
    assert await asyncio.to_thread(serving, path)
    with own_process.connect() as channel:
        for _ in range(2):
            scopes_pb2_grpc.IndexedDBScopesStub(channel).CloseScope(scopes_pb2.CloseScopeRequest(socket_path=str(path)))
    assert not path.exists()
    assert own_process.stop() == 0
    assert not own_process.socket.exists()


async def test_a_second_process_on_the_same_file_is_refused(own_process: StoreProcess) -> None:
    own_process.start()
    assert own_process.process is not None
    with short_folder() as folder:
        second = StoreProcess(Path(folder), own_process.config)
        second.start(configure=False)
        with pytest.raises(grpc.RpcError) as caught:
            second.configure(own_process.config)
        text = caught.value.details()
        assert str(own_process.process.pid) in text
        assert "store.db" in text
        own_process.stop(signal.SIGKILL)
        second.configure(own_process.config)  # the lock ends with its process
        second.stop()


async def test_a_restart_keeps_stores_indexes_and_records(own_process: StoreProcess) -> None:
    columns = [pb.ColumnDef(name="k", type=1, primary_key=True)]
    own_process.start()
    service = Service(own_process.socket)
    await service.create("s", index("u", "u", unique=True), columns=columns)
    await service.put("s", k=7, u="x")
    await service.close()
    for how in (signal.SIGTERM, signal.SIGKILL):
        own_process.stop(how)
        own_process.start()
        service = Service(own_process.socket)
        await service.create(
            "s", index("u", "u", unique=True), columns=[pb.ColumnDef(name="k", type=1, primary_key=True)]
        )
        assert await service.get("s", "7") == {"k": 7, "u": "x"}
        assert await service.index_keys("s", "u", "x") == ["7"]
        code, _ = await service.refused("Add", pb.RecordRequest(store="s", record=record(k=8, u="x")))
        assert code is Code.ALREADY_EXISTS
        await service.close()


async def test_when_the_disk_takes_no_more_writes_fail_and_space_brings_recovery(own_process: StoreProcess) -> None:
    own_process.start()
    assert own_process.process is not None
    pid = own_process.process.pid
    service = Service(own_process.socket)
    store = await service.new_store(index("n", "n"))
    log = own_process.folder / "store.db-wal"
    written: list[str] = []
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (log.stat().st_size + 200_000, most))
    refusals: list[Refused] = []
    for number in range(60):
        try:
            await service.put(store, id=f"k{number:02}", n=number, v=b"x" * 20_000)
            written.append(f"k{number:02}")
        except Refused as error:
            refusals.append(error)
    assert written
    assert len(refusals) > 30
    for refusal in refusals:
        assert refusal.code() is Code.UNAVAILABLE, refusal.details()
        assert "store.db" in (refusal.details() or ""), refusal.details()
    transaction = await service.transaction(store)
    await transaction.put(store, id="t", v=b"x" * 400_000)
    assert (await transaction.commit()).code == Code.UNAVAILABLE.value[0]
    assert await transaction.read() is None
    assert (await transaction.ended())[0] is Code.OK
    assert await service.keys(store) == written
    assert await service.index_keys(store, "n") == written
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
    await service.put(store, id="l", n=100, v=b"x" * 400_000)
    own_process.stop(signal.SIGKILL)
    own_process.start()
    again = Service(own_process.socket)
    assert await again.keys(store) == [*written, "l"]
    for made in (service, again):
        await made.close()
    own_process.stop()
    assert command("check", own_process.config["dsn"]).returncode == 0


async def test_memory_has_a_database_for_each_name_and_leaves_nothing(own_process: StoreProcess) -> None:
    own_process.config = {"dsn": "sqlite://:memory:"}
    own_process.start()
    own_process.open_scope("a", own_process.folder / "a.sock")
    one, other = Service(own_process.socket), Service(own_process.folder / "a.sock")
    await one.create("s")
    transaction = await one.transaction("s")
    await transaction.put("s", id="k")
    assert await one.keys("s") == []
    cursor = await one.cursor("s")
    assert not (await transaction.commit()).code
    assert await cursor.keys() == []
    assert await one.keys("s") == ["k"]
    assert (await other.refused("Get", pb.ObjectStoreRequest(store="s", id="k")))[0] is Code.NOT_FOUND
    await one.close()
    await other.close()
    pid = own_process.process.pid if own_process.process else 0
    own_process.stop()
    assert not list(Path("/dev/shm").glob(f"gestalt-store-{pid}-*"))


async def test_idle_transactions_and_cursors_are_ended(own_process: StoreProcess) -> None:
    own_process.config = {**own_process.config, "limits": IDLE}
    own_process.start()
    service = Service(own_process.socket)
    await service.create("s")
    for number in range(50):
        await service.put("s", id=f"k{number:02d}")
    writer = await service.transaction("s")
    await writer.put("s", id="never")
    cursor = await service.cursor("s")
    reader = await service.transaction("s", mode=0)
    await service.put("s", id="late")  # waited until the idle writer was ended
    for stream in (writer, cursor, reader):
        code, text = await stream.ended()
        assert code is Code.ABORTED
        assert "idle" in text
    assert await count(service, "s") == 51
    await service.call("DeleteObjectStore", pb.DeleteObjectStoreRequest(name="s"))
    await service.close()


async def test_a_newer_format_and_other_programs_files_are_refused(own_process: StoreProcess) -> None:
    own_process.start()
    own_process.stop()
    path = own_process.folder / "store.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    own_process.start(configure=False)
    with pytest.raises(grpc.RpcError, match=r"format 99.*newer version"):
        own_process.configure(own_process.config)
    foreign = own_process.folder / "foreign.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(grpc.RpcError, match="another program"):
        own_process.configure({"dsn": f"sqlite://{foreign}"})
    damaged = own_process.folder / "damaged.db"
    damaged.write_bytes(b"not a database at all" * 1000)
    with pytest.raises(grpc.RpcError, match="damaged"):
        own_process.configure({"dsn": f"sqlite://{damaged}"})
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    own_process.configure(own_process.config)


async def test_backup_restore_and_check(own_process: StoreProcess) -> None:
    own_process.start()
    own_process.open_scope("w", own_process.folder / "w.sock")
    service, scope = Service(own_process.socket), Service(own_process.folder / "w.sock")
    for one in (service, scope):
        await one.create("s", index("n", "n"))
    for number in range(200):
        await service.put("s", id=f"k{number}", n=number)
    await scope.put("s", id="scoped", n=1)
    folder = own_process.folder
    dsn = f"sqlite://{folder}/store.db"
    done = await asyncio.to_thread(command, "backup", dsn, str(folder / "b.tar"))
    assert done.returncode == 0, done.stderr
    assert "database w" in done.stdout, done.stderr
    assert mode_of(folder / "b.tar") == 0o600
    assert (await asyncio.to_thread(command, "check", dsn)).returncode == 0
    done = await asyncio.to_thread(command, "backup", dsn, str(folder / "b.tar"))
    assert done.returncode == 2
    assert "exists" in done.stderr
    done = await asyncio.to_thread(command, "restore", dsn, str(folder / "b.tar"))
    assert done.returncode == 2
    assert "exists" in done.stderr
    await service.put("s", id="after the backup", n=1)
    await service.close()
    await scope.close()
    other = f"sqlite://{folder}/restored/r.db"
    done = await asyncio.to_thread(command, "restore", other, str(folder / "b.tar"))
    assert done.returncode == 0, done.stderr
    assert mode_of(folder / "restored") == 0o700
    assert (await asyncio.to_thread(command, "check", other)).returncode == 0
    own_process.configure({"dsn": other})
    service = Service(own_process.socket)
    assert await count(service, "s") == 200
    await service.close()
    own_process.stop()
    connection = sqlite3.connect(folder / "restored" / "r.db")
    connection.execute("DELETE FROM index_1 WHERE pk = (SELECT min(pk) FROM index_1)")
    connection.commit()
    connection.close()
    done = await asyncio.to_thread(command, "check", other)
    assert done.returncode == 1
    assert "index 'n'" in done.stdout
    done = await asyncio.to_thread(command, "check", f"sqlite://{folder}/none.db")
    assert done.returncode == 2


async def kill_and_check(store: StoreProcess, rounds: int, seed: int) -> None:
    """SIGKILL under load, again and again; what was acknowledged is there, whole, and indexes agree with records."""
    chance = random.Random(seed)
    acknowledged: dict[str, int] = {}
    started: dict[str, int] = {}
    for number in range(rounds):
        store.start()
        service = Service(store.socket)
        if number == 0:
            await service.create("pairs", index("n", "n"), index("u", "u", unique=True))
        answer = await service.call("GetAll", pb.ObjectStoreRangeRequest(store="pairs"))
        present = {item.fields["id"].string_value: item.fields["n"].int_value for item in answer.records}
        for key, value in acknowledged.items():
            assert present[f"{key}-a"] == present[f"{key}-b"], "half a transaction"
            assert value <= present[f"{key}-a"] <= started[key], "an acknowledged commit is missing"
        for key in started:
            assert (f"{key}-a" in present) == (f"{key}-b" in present)
        stop = asyncio.Event()

        async def client(name: str, service: Service = service, stop: asyncio.Event = stop) -> None:
            while not stop.is_set():
                value = started.get(name, 0) + 1
                started[name] = value
                rows = [{"id": f"{name}-{half}", "n": value, "u": f"{name}{half}{value}"} for half in "ab"]
                try:
                    if value % 2:
                        entries = [
                            batch_pb2.ApplyEntry(store="pairs", put=record(**row), required=True) for row in rows
                        ]
                        await service.batch.Apply(batch_pb2.ApplyRequest(entries=entries))
                    else:
                        transaction = await service.transaction("pairs")
                        for row in rows:
                            await transaction.put("pairs", **row)
                        assert not (await transaction.commit()).code
                except (Broken, grpc.aio.AioRpcError):
                    return  # the process is gone
                acknowledged[name] = value

        clients = [asyncio.ensure_future(client(f"c{position}")) for position in range(6)]
        goal = sum(acknowledged.values()) + chance.randint(1, 60)

        async def enough(goal: int = goal) -> bool | None:
            return True if sum(acknowledged.values()) >= goal else None

        await eventually(enough, within_s=30)
        store.stop(signal.SIGKILL)
        stop.set()
        await asyncio.wait_for(asyncio.gather(*clients), 30)
        await service.close()
    done = await asyncio.to_thread(command, "check", store.config["dsn"])
    assert done.returncode == 0, done.stdout + done.stderr


async def test_nothing_acknowledged_is_lost_when_the_process_is_killed(own_process: StoreProcess) -> None:
    await kill_and_check(own_process, 20, seed=1)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
async def test_nothing_acknowledged_is_lost_in_two_hundred_kills(own_process: StoreProcess) -> None:
    await kill_and_check(own_process, 200, seed=2)
