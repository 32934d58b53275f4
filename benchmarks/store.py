#!/usr/bin/env python3
"""How fast the object store is, beside a raw grpc.aio echo and plain sqlite3 measured in the same run.

Usage: python -m benchmarks.store [--seconds S] [--rows N] [--only WORD] [--engine sqlite|postgres]

Each line: operations a second, the store's CPU for one operation, failures, and the ratios to the echo of its kind and
to the same statements through sqlite3 alone (``plain``). On PostgreSQL the server's own CPU is not in it.
"""

from __future__ import annotations

import os

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import uvloop

from benchmarks.plain import PlainSqlite
from gestalt_sdk.gen.extension.v1 import batch_pb2, batch_pb2_grpc
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.gen.v1 import datastore_pb2_grpc, runtime_pb2, runtime_pb2_grpc
from gestalt_sdk.transport.channels import CHANNEL_OPTIONS, SERVER_OPTIONS
from gestalt_sdk.transport.values import to_struct
from tests.support.rigs.postgres import NotInstalled, PostgresServer

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
TEXT = "x" * 112
CLIENTS = (1, 16, 64)


# ------------------------------------------------------------------------------------------------------------ servers


async def serve_echo(path: str) -> None:
    async def unary(data: bytes, _: Any) -> bytes:
        return data

    async def stream(_: Any, context: Any) -> None:
        while (data := await context.read()) is not grpc.aio.EOF:
            await context.write(data)

    server = grpc.aio.server(options=SERVER_OPTIONS)
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Stream": grpc.stream_stream_rpc_method_handler(stream),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", handlers),))
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    await server.wait_for_termination()


class Server:
    """A child process that serves on a socket."""

    def __init__(self, path: Path, command: list[str]) -> None:
        environment = {
            **os.environ,
            "GESTALT_PLUGIN_SOCKET": str(path),
            "GESTALT_PLUGIN_PARENT_PID": str(os.getpid()),
            "PYTHONPATH": str(ROOT),
        }
        self.process = subprocess.Popen(command, env=environment, cwd=ROOT)
        self.channel = grpc.aio.insecure_channel(f"unix:{path}", options=CHANNEL_OPTIONS)

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    async def stop(self) -> None:
        await self.channel.close()
        self.process.terminate()
        self.process.wait()


# --------------------------------------------------------------------------------------------------------- measurement


class Result:
    def __init__(self, rate: float, cpu_us: float, failures: int) -> None:
        self.rate = rate
        self.cpu_us = cpu_us
        self.failures = failures


Call = Callable[[int], Awaitable[Any]]


async def measure(server: Server, call: Call, clients: int, seconds: float) -> Result:
    """Closed loop: every client sends its next call when the last has been answered."""
    done = failures = 0
    number = 0
    end = time.perf_counter() + 0.2

    async def client() -> None:
        nonlocal done, failures, number
        while time.perf_counter() < end:
            number += 1
            try:
                await call(number)
                done += 1
            except grpc.RpcError:
                failures += 1

    await asyncio.gather(*(client() for _ in range(clients)))
    done = failures = 0
    cpu, start = server.cpu_s(), time.perf_counter()
    end = start + seconds
    await asyncio.gather(*(client() for _ in range(clients)))
    elapsed = time.perf_counter() - start
    return Result(done / elapsed, (server.cpu_s() - cpu) / max(done, 1) * 1e6, failures)


def show(name: str, clients: int, result: Result, per: float = 1, **ratios: float) -> None:
    text = "  ".join(f"{what} {ratio:.2f}" for what, ratio in ratios.items())
    rate, cpu_us = result.rate * per, result.cpu_us / per
    print(f"{name:37} {clients:3}  {rate:10,.0f}/s  {cpu_us:8.1f} µs  {result.failures:4}  {text}", flush=True)


# ----------------------------------------------------------------------------------------------------------- workloads


def record(number: int, key: str | None = None, *, version: int = 0) -> pb.Record:
    """``version`` changes the text, so that a put that replaces a record has something to write."""
    made = pb.Record()
    made.fields["id"].string_value = key or f"key-{number:08d}"
    made.fields["group"].string_value = f"group-{number % 100}"
    made.fields["number"].int_value = number
    made.fields["text"].string_value = f"{version:08d}{TEXT}"
    return made


SCHEMA = pb.ObjectStoreSchema(
    indexes=[
        pb.IndexSchema(name="by_group", key_path=["group", "number"]),
        pb.IndexSchema(name="by_number", key_path=["number"]),
    ]
)


class Echo:
    """The echo server, and what it did with each payload and number of clients, measured once."""

    def __init__(self, server: Server, seconds: float) -> None:
        self._server = server
        self._seconds = seconds
        self._unary = server.channel.unary_unary("/echo.Echo/Unary")
        self._stream = server.channel.stream_stream("/echo.Echo/Stream")
        self._rates: dict[tuple[str, int], float] = {}

    async def unary(self, clients: int, records: int) -> float:
        payload = record(1).SerializeToString() * records
        return await self._rate(f"echo, {len(payload)} bytes", clients, lambda _: self._unary(payload))

    async def ping_pongs(self, clients: int) -> float:
        """A freshly opened stream with the messages of a transaction, each answered before the next."""
        return await self._rate("echo stream, 7 ping-pongs", clients, lambda _: self._opened(7, 1))

    async def pipelined(self, clients: int) -> float:
        return await self._rate("echo stream, 7 pipelined", clients, lambda _: self._opened(1, 7))

    async def rows(self, clients: int) -> float:
        """Ping-pong messages of a row's size on one long stream for each client: what a cursor without prefetch is."""
        turns = 200
        return await self._rate("echo stream, ping-pongs", clients, lambda _: self._opened(turns, 1), turns)

    async def _opened(self, turns: int, at_once: int) -> None:
        payload = record(1).SerializeToString()
        call = self._stream()
        for _ in range(turns):
            for _ in range(at_once):
                await call.write(payload)
            for _ in range(at_once):
                await call.read()
        await call.done_writing()
        await call.read()

    async def _rate(self, name: str, clients: int, call: Call, per: int = 1) -> float:
        if (name, clients) not in self._rates:
            result = await measure(self._server, call, clients, self._seconds)
            show(name, clients, result, per)
            self._rates[name, clients] = result.rate * per
        return self._rates[name, clients]


class Bench:
    """The workloads on one engine."""

    def __init__(self, echo: Echo, store: Server, plain: PlainSqlite | None, seconds: float, rows: int) -> None:
        """``plain`` is for SQLite only."""
        self.echo, self.store, self.plain, self.seconds, self.rows = echo, store, plain, seconds, rows
        self.stub = datastore_pb2_grpc.IndexedDBStub(store.channel)
        self.batch = batch_pb2_grpc.IndexedDBBatchStub(store.channel)

    async def prepare(self, config: dict[str, Any]) -> None:
        life = runtime_pb2_grpc.ProviderLifecycleStub(self.store.channel)
        await life.ConfigureProvider(
            runtime_pb2.ConfigureProviderRequest(name="bench", protocol_version=3, config=to_struct(config)),
            wait_for_ready=True,
        )
        for name, rows in (("small", 1000), ("large", self.rows), ("put", 0), ("add", 0), ("apply", 0)):
            await self.stub.CreateObjectStore(pb.CreateObjectStoreRequest(name=name, schema=SCHEMA))
            for first in range(0, rows, 1000):
                entries = [
                    batch_pb2.ApplyEntry(store=name, put=record(number))
                    for number in range(first, min(first + 1000, rows))
                ]
                await self.batch.Apply(batch_pb2.ApplyRequest(entries=entries))

    async def run(self, name: str, call: Call, clients: int, per: float = 1, **ratios: float) -> float:
        """Measure and show a workload; ``ratios`` are the rates to compare with. Its rate is returned."""
        result = await measure(self.store, call, clients, self.seconds)
        rate = result.rate * per
        show(name, clients, result, per, **{what: rate / other for what, other in ratios.items()})
        return rate

    def beside(self, what: Callable[[PlainSqlite], Callable[[int], float]], clients: int) -> dict[str, float]:
        """The rate of plain sqlite3, where the engine is SQLite."""
        return {} if self.plain is None else {"plain": what(self.plain)(clients)}

    async def unary(self, clients: int) -> None:
        async def get(number: int) -> None:
            await self.stub.Get(pb.ObjectStoreRequest(store="small", id=f"key-{number % 1000:08d}"))

        async def put(number: int) -> None:
            await self.stub.Put(pb.RecordRequest(store="put", record=record(number % 5000, version=number)))

        echo = await self.echo.unary(clients, 1)
        await self.run("get", get, clients, echo=echo, **self.beside(lambda plain: plain.get, clients))
        await self.run("put, two indexes", put, clients, echo=echo, **self.beside(lambda plain: plain.put, clients))

    async def transactions(self, clients: int) -> None:
        async def transaction(number: int) -> None:
            frames = [
                pb.TransactionClientMessage(
                    begin=pb.BeginTransactionRequest(stores=["add"], mode=pb.TRANSACTION_READWRITE)
                )
            ]
            for step in range(5):
                request = pb.RecordRequest(
                    store="add", record=record(number, f"{os.getpid()}-{number}-{step}-{clients}")
                )
                operation = pb.TransactionOperation(request_id=step + 1, add=request)
                frames.append(pb.TransactionClientMessage(operation=operation))
            frames.append(pb.TransactionClientMessage(commit=pb.TransactionCommitRequest()))
            call = self.stub.Transaction()
            for frame in frames:
                await call.write(frame)
            answers = [await call.read() for _ in frames]
            if answers[-1] is grpc.aio.EOF or answers[-1].commit.error.code:
                raise grpc.RpcError

        ratios = {"echo": await self.echo.ping_pongs(clients), "pipelined_echo": await self.echo.pipelined(clients)}
        ratios |= self.beside(lambda plain: plain.transaction, clients)
        await self.run("transaction, 5 adds, one store", transaction, clients, **ratios)

    async def apply(self, clients: int) -> None:
        async def call(number: int) -> None:
            entries = [
                batch_pb2.ApplyEntry(store="apply", put=record((number * 16 + step) % 50_000, version=number))
                for step in range(16)
            ]
            await self.batch.Apply(batch_pb2.ApplyRequest(entries=entries))

        await self.run("Apply of 16 puts, puts", call, clients, 16, **self.beside(lambda plain: plain.apply, clients))

    async def pages(self, clients: int) -> None:
        rates: dict[tuple[str, str], float] = {}
        for name in ("small", "large"):

            async def page(_: int, name: str = name) -> None:
                request = pb.KeyRange(lower=pb.TypedValue(int_value=300), upper=pb.TypedValue(int_value=399))
                answer = await self.stub.IndexGetAll(pb.IndexQueryRequest(store=name, index="by_number", range=request))
                assert len(answer.records) == 100

            async def first(_: int, name: str = name) -> None:
                call = self.stub.OpenCursor()
                await call.write(pb.CursorClientMessage(open=pb.OpenCursorRequest(store=name, index="by_group")))
                await call.read()
                await call.write(pb.CursorClientMessage(command=pb.CursorCommand(next=True)))
                await call.read()
                await call.write(pb.CursorClientMessage(command=pb.CursorCommand(close=True)))
                await call.read()

            rows = 1000 if name == "small" else self.rows
            for what, work in (("index page of 100", page), ("open cursor, first entry", first)):
                ratios = {}
                if what == "index page of 100":
                    ratios = {"echo": await self.echo.unary(clients, 100)}
                    ratios |= self.beside(lambda plain: plain.page, clients)
                if name == "large":
                    ratios["small"] = rates[what, "small"]
                rates[what, name] = await self.run(f"{what}, {rows} rows", work, clients, **ratios)

    async def lists(self, clients: int) -> None:
        async def get_all(_: int) -> None:
            answer = await self.stub.GetAll(pb.ObjectStoreRangeRequest(store="small"))
            assert len(answer.records) == 1000

        ratios = {"echo": await self.echo.unary(clients, 1000) * 1000}
        ratios |= self.beside(lambda plain: plain.get_all, clients)
        await self.run("GetAll of 1 000, records", get_all, clients, 1000, **ratios)
        raw = self.store.channel.unary_unary("/gestalt.provider.v1.IndexedDB/GetAll")
        request = pb.ObjectStoreRangeRequest(store="small").SerializeToString()
        await self.run("  not decoded by the client", lambda _: raw(request), clients, 1000, **ratios)

    async def cursors(self, clients: int, prefetch: int) -> None:
        rows = failures = 0

        async def walk() -> None:
            nonlocal rows, failures
            call = self.stub.OpenCursor()
            opening = pb.OpenCursorRequest(store="large", prefetch=prefetch)
            await call.write(pb.CursorClientMessage(open=opening))
            await call.read()
            step = pb.CursorClientMessage(command=pb.CursorCommand(next=True))
            try:
                while time.perf_counter() < end:
                    await call.write(step)
                    answer = await call.read()
                    if answer.WhichOneof("result") == "done":
                        break
                    rows += 1 + len(answer.entries)
            except (grpc.RpcError, AttributeError):  # the stream has ended
                failures += 1
            call.cancel()

        ratios = {} if prefetch else {"echo": await self.echo.rows(clients)}
        ratios |= self.beside(lambda plain: plain.cursor, clients)
        start, cpu = time.perf_counter(), self.store.cpu_s()
        end = start + self.seconds
        while time.perf_counter() < end:
            await asyncio.gather(*(walk() for _ in range(clients)))
        rate = rows / (time.perf_counter() - start)
        result = Result(rate, (self.store.cpu_s() - cpu) / max(rows, 1) * 1e6, failures)
        shown = {what: rate / other for what, other in ratios.items()}
        show(f"cursor rows, prefetch {prefetch}", clients, result, **shown)

    def sections(self) -> dict[str, list[Callable[[], Awaitable[None]]]]:
        return {
            "unary": [partial(self.unary, n) for n in CLIENTS],
            "transactions": [partial(self.transactions, n) for n in CLIENTS],
            "apply": [partial(self.apply, n) for n in CLIENTS],
            "pages": [partial(self.pages, n) for n in CLIENTS],
            "lists": [partial(self.lists, n) for n in CLIENTS],
            "cursors": [*(partial(self.cursors, n, 0) for n in CLIENTS), partial(self.cursors, 1, 500)],
        }


async def on_sqlite(echo: Echo, folder: Path, options: argparse.Namespace) -> None:
    plain = PlainSqlite(folder / "plain.db", record(1).SerializeToString(), options.rows, options.seconds / 4)
    try:
        await on_engine("SQLite", {"dsn": f"sqlite://{folder}/bench.db"}, plain, echo, folder, options)
    finally:
        plain.close()


async def on_postgres(echo: Echo, folder: Path, options: argparse.Namespace) -> None:
    """On a private server, set up as those of the tests but for its durability, which is the usual one."""
    with tempfile.TemporaryDirectory(prefix="gstb-pg-", dir="/tmp") as scratch:
        try:
            server = PostgresServer(Path(scratch))
        except NotInstalled as error:
            print(f"\nskipped: PostgreSQL ({error})", flush=True)
            return
        with (server.data / "postgresql.conf").open("a") as settings:
            settings.write("fsync = on\nfull_page_writes = on\n")
        server.start()
        try:
            await on_engine("PostgreSQL", {"dsn": server.dsn, "schema": "bench"}, None, echo, folder, options)
        finally:
            server.stop()


async def on_engine(
    name: str,
    config: dict[str, Any],
    plain: PlainSqlite | None,
    echo: Echo,
    folder: Path,
    options: argparse.Namespace,
) -> None:
    target = ["providers/indexeddb_store", "gestalt_store.provider:provider", "indexeddb"]
    store = Server(folder / f"{name}.sock", [sys.executable, "-m", "gestalt_sdk.run", *target])
    try:
        bench = Bench(echo, store, plain, options.seconds, options.rows)
        await bench.prepare(config)
        print(f"\n{'store on ' + name:37} clients      rate       store CPU  failed  ratio to")
        for section, parts in bench.sections().items():
            if options.only in ("", section):
                for part in parts:
                    await part()
    finally:
        await store.stop()


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="length of each measurement")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the large store")
    parser.add_argument("--only", default="", help="unary, transactions, apply, pages, lists or cursors")
    parser.add_argument("--engine", default="", choices=["sqlite", "postgres"], help="this one only")
    parser.add_argument("--echo", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.echo:
        await serve_echo(options.echo)
        return
    with tempfile.TemporaryDirectory(prefix="gstb-") as scratch:
        folder = Path(scratch)
        server = Server(folder / "e.sock", [sys.executable, __file__, "--echo", str(folder / "e.sock")])
        try:
            await server.channel.channel_ready()
            echo = Echo(server, options.seconds)
            for engine, run in (("sqlite", on_sqlite), ("postgres", on_postgres)):
                if options.engine in ("", engine):
                    await run(echo, folder, options)
        finally:
            await server.stop()


if __name__ == "__main__":
    uvloop.run(main())
