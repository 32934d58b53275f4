"""The database's files are deleted or replaced, or its disk is full, while it is served: said, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.empty_pb2 import Empty

from gestalt_host.verification.suites.indexeddb.client import Code, Refused
from gestalt_host.verification.suites.indexeddb.messages import record
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.gen.v1 import runtime_pb2_grpc
from tests.support.rigs.postgres import PostgresServer
from tests.support.rigs.store import Service, StoreProcess, short_folder
from tests.support.waiting import eventually

pytestmark = pytest.mark.ours("store")


def delete_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def delete_file(folder: Path) -> None:
    (folder / "store.db").unlink()


def delete_log(folder: Path) -> None:
    (folder / "store.db-wal").unlink()


def delete_index_of_log(folder: Path) -> None:
    (folder / "store.db-shm").unlink()


def replace_file(folder: Path) -> None:
    shutil.copy(folder / "store.db", folder / "copy")
    (folder / "copy").replace(folder / "store.db")


@pytest.fixture
def stateful(own_process: StoreProcess) -> StoreProcess:
    """A store whose files have a directory of their own."""
    (own_process.folder / "state").mkdir()
    own_process.config = {**own_process.config, "dsn": f"sqlite://{own_process.folder}/state/store.db"}
    own_process.start()
    return own_process


async def unready(service: Service) -> str:
    """Why the store is not ready; blank when it is."""
    answer = await runtime_pb2_grpc.ProviderLifecycleStub(service.channel).HealthCheck(Empty())
    return "" if answer.ready else str(answer.message)


@pytest.mark.parametrize(
    "damage", [delete_folder, delete_file, delete_log, delete_index_of_log, replace_file], ids=lambda f: f.__name__
)
async def test_what_is_written_to_files_that_are_gone_is_refused(
    stateful: StoreProcess, damage: Callable[[Path], None]
) -> None:
    service = Service(stateful.socket)
    await service.create("s")
    await service.put("s", id="kept")
    assert not await unready(service)
    transaction = await service.transaction("s")
    await transaction.put("s", id="t")
    folder = stateful.folder / "state"
    damage(folder)
    error = await transaction.commit()
    assert error.code == Code.UNAVAILABLE.value[0]
    refusals = [(Code.UNAVAILABLE, error.message)]
    for method, request in (
        ("Put", pb.RecordRequest(store="s", record=record(id="late"))),
        ("Get", pb.ObjectStoreRequest(store="s", id="kept")),
        ("GetAll", pb.ObjectStoreRangeRequest(store="s")),
        ("CreateObjectStore", pb.CreateObjectStoreRequest(name="new")),
    ):
        refusals.append(await service.refused(method, request))
    refusals.append(await service.opening_cursor().ended())
    refusals.append((Code.UNAVAILABLE, await unready(service)))
    for code, text in refusals:
        assert code is Code.UNAVAILABLE
        assert str(folder) in text
        assert "while it was in use" in text
        assert "gestaltd store restore" in text
    await service.close()


async def test_files_that_were_moved_away_and_back_go_on(stateful: StoreProcess) -> None:
    service = Service(stateful.socket)
    await service.create("s")
    await service.put("s", id="kept")
    folder = stateful.folder / "state"
    folder.rename(stateful.folder / "elsewhere")
    assert str(folder) in await unready(service)
    assert (await service.refused("Put", pb.RecordRequest(store="s", record=record(id="a"))))[0] is Code.UNAVAILABLE
    (stateful.folder / "elsewhere").rename(folder)
    assert not await unready(service)
    await service.put("s", id="b")
    assert "kept" in await service.keys("s")
    await service.close()


async def test_no_write_that_begins_after_the_deletion_is_acknowledged(stateful: StoreProcess) -> None:
    service = Service(stateful.socket)
    await service.create("s")
    folder = stateful.folder / "state"
    deleted = asyncio.Event()
    late: list[str] = []
    refused = 0

    async def client(name: str) -> None:
        nonlocal refused
        number = 0
        while refused < 30:
            number += 1
            gone = deleted.is_set()
            try:
                await service.put("s", id=f"{name}-{number}")
            except Refused:
                refused += 1
            else:
                if gone:
                    late.append(f"{name}-{number}")

    clients = [asyncio.ensure_future(client(f"c{number}")) for number in range(8)]

    async def under_way() -> bool | None:
        return True if len(await service.keys("s")) > 50 else None

    await eventually(under_way, within_s=30)
    shutil.rmtree(folder)
    deleted.set()
    await asyncio.wait_for(asyncio.gather(*clients), 30)
    assert not late
    await service.close()


async def test_a_database_of_another_scope_that_is_gone_makes_the_store_unready(stateful: StoreProcess) -> None:
    stateful.open_scope("w", stateful.folder / "w.sock")
    service, scope = Service(stateful.socket), Service(stateful.folder / "w.sock")
    await service.create("s")
    await scope.create("s")
    (stateful.folder / "state" / "store.w.db").unlink()
    assert "store.w.db was deleted" in await unready(service)
    await service.put("s", id="the other one goes on")
    for one in (service, scope):
        await one.close()


async def test_a_full_disk_makes_the_store_unready_while_it_lasts(stateful: StoreProcess) -> None:
    assert stateful.process is not None
    pid = stateful.process.pid
    service = Service(stateful.socket)
    await service.create("s")
    log = stateful.folder / "state" / "store.db-wal"
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (log.stat().st_size, most))
    code, text = await service.refused("Put", pb.RecordRequest(store="s", record=record(id="a", v=b"x" * 20_000)))
    assert code is Code.UNAVAILABLE
    assert text == await unready(service)

    async def tried() -> bool | None:
        """Its own write fails as well."""
        return True if stateful.log().count("store.commit_failed") >= 2 and await unready(service) else None

    async def asked() -> bool | None:
        await unready(service)
        return await tried()

    await eventually(asked, within_s=30)
    assert await service.keys("s") == []
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))

    async def ready() -> bool | None:
        return None if await unready(service) else True

    await eventually(ready)
    await service.put("s", id="b", v=b"x" * 20_000)
    await service.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
async def test_a_small_disk_that_is_filled_by_others_makes_the_store_unready(own_process: StoreProcess) -> None:
    folder = own_process.folder / "disk"
    folder.mkdir()
    mount = await asyncio.create_subprocess_exec("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder))
    if await mount.wait() != 0:
        pytest.skip("this system mounts no tmpfs")
    try:
        own_process.config = {**own_process.config, "dsn": f"sqlite://{folder}/store.db"}
        own_process.start()
        service = Service(own_process.socket)
        await service.create("s")
        await service.put("s", id="kept")
        filler = os.open(folder / "filler", os.O_WRONLY | os.O_CREAT)
        with contextlib.suppress(OSError):
            while True:
                os.write(filler, b"x" * 4096)
        os.close(filler)
        code, text = await service.refused("Put", pb.RecordRequest(store="s", record=record(id="a", v=b"x" * 200_000)))
        assert code is Code.UNAVAILABLE
        assert "the disk is full" in text
        assert "the disk is full" in await unready(service)
        (folder / "filler").unlink()

        async def ready() -> bool | None:
            return None if await unready(service) else True

        await eventually(ready)
        await service.put("s", id="b", v=b"x" * 200_000)
        assert await service.keys("s") == ["b", "kept"]
        await service.close()
        own_process.stop()
    finally:
        await (await asyncio.create_subprocess_exec("umount", "-l", str(folder))).wait()


async def test_a_postgres_server_whose_disk_is_full_makes_the_store_unready(postgres_server: PostgresServer) -> None:
    schema = postgres_server.new_schema()
    with short_folder() as folder:
        store = StoreProcess(Path(folder), {"dsn": postgres_server.dsn, "schema": schema})
        store.start()
        service = Service(store.socket)
        await service.create("s")
        tables = [
            row[0]
            for row in postgres_server.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'r' "
                "AND (relname LIKE 'records%%' OR relname = 'facts')",
                schema,
            )
        ]
        postgres_server.execute(
            f"CREATE FUNCTION {schema}.full() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END $$"
        )
        for table in tables:
            postgres_server.execute(
                f"CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON {schema}.{table} "
                f"FOR EACH ROW EXECUTE FUNCTION {schema}.full()"
            )
        code, text = await service.refused("Put", pb.RecordRequest(store="s", record=record(id="a")))
        assert code is Code.UNAVAILABLE
        assert "no space left on device" in text
        assert "no space left on device" in await unready(service)
        for table in tables:
            postgres_server.execute(f"DROP TRIGGER full_disk ON {schema}.{table}")

        async def ready() -> bool | None:
            return None if await unready(service) else True

        await eventually(ready)
        await service.put("s", id="b")
        await service.close()
        store.stop()
