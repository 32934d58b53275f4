#!/usr/bin/env python3
"""How fast the object store is, beside a raw grpc.aio echo and plain sqlite3 measured in the same run.

Usage: store.py [--seconds S] [--rows N] [--only WORD]

Each line: operations a second, the server's CPU for one operation, failures, and the ratio to the echo of its kind.
"""

from __future__ import annotations

import os

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import argparse
import asyncio
import sqlite3
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

from gestalt_sdk.channels import CHANNEL_OPTIONS, SERVER_OPTIONS
from gestalt_sdk.gen.extension.v1 import datastore_pb2 as batch_pb2
from gestalt_sdk.gen.extension.v1 import datastore_pb2_grpc as batch_grpc
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.gen.v1 import datastore_pb2_grpc, runtime_pb2, runtime_pb2_grpc
from gestalt_sdk.values import to_struct

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
TEXT = "x" * 120


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
    print(f"{name:34} {clients:3}  {rate:10,.0f}/s  {cpu_us:8.1f} µs  {result.failures:4}  {text}", flush=True)


# ----------------------------------------------------------------------------------------------------------- workloads


def record(number: int, key: str | None = None) -> pb.Record:
    made = pb.Record()
    made.fields["id"].string_value = key or f"key-{number:08d}"
    made.fields["group"].string_value = f"group-{number % 100}"
    made.fields["number"].int_value = number
    made.fields["text"].string_value = TEXT
    return made


SCHEMA = pb.ObjectStoreSchema(
    indexes=[
        pb.IndexSchema(name="by_group", key_path=["group", "number"]),
        pb.IndexSchema(name="by_number", key_path=["number"]),
    ]
)


class Bench:
    def __init__(self, echo: Server, store: Server, folder: Path, seconds: float, rows: int) -> None:
        self.echo, self.store, self.folder, self.seconds, self.rows = echo, store, folder, seconds, rows
        self.stub = datastore_pb2_grpc.IndexedDBStub(store.channel)
        self.batch = batch_grpc.IndexedDBBatchStub(store.channel)
        self.echo_unary = echo.channel.unary_unary("/echo.Echo/Unary")
        self.echo_stream = echo.channel.stream_stream("/echo.Echo/Stream")
        self.echoes: dict[tuple[str, int], float] = {}

    async def prepare(self) -> None:
        life = runtime_pb2_grpc.ProviderLifecycleStub(self.store.channel)
        await life.ConfigureProvider(
            runtime_pb2.ConfigureProviderRequest(
                name="bench", protocol_version=3, config=to_struct({"dsn": f"sqlite://{self.folder}/bench.db"})
            ),
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

    async def unary_echo(self, clients: int, payload: bytes, name: str) -> Result:
        result = await measure(self.echo, lambda _: self.echo_unary(payload), clients, self.seconds)
        self.echoes[name, clients] = result.rate
        show(f"echo, {len(payload)} bytes", clients, result)
        return result

    async def unary(self, clients: int) -> None:
        payload = record(1).SerializeToString()
        echo = await self.unary_echo(clients, payload, "unary")

        async def get(number: int) -> None:
            await self.stub.Get(pb.ObjectStoreRequest(store="small", id=f"key-{number % 1000:08d}"))

        async def put(number: int) -> None:
            await self.stub.Put(pb.RecordRequest(store="put", record=record(number % 5000)))

        for name, call in (("get", get), ("put, two indexes", put)):
            result = await measure(self.store, call, clients, self.seconds)
            show(name, clients, result, echo=result.rate / echo.rate)

    async def transactions(self, clients: int) -> None:
        payload = record(1).SerializeToString()

        async def ping_pong(_: int) -> None:
            call = self.echo_stream()
            for _ in range(7):
                await call.write(payload)
                await call.read()
            await call.done_writing()
            await call.read()

        async def pipelined_echo(_: int) -> None:
            call = self.echo_stream()
            for _ in range(7):
                await call.write(payload)
            for _ in range(7):
                await call.read()
            await call.done_writing()
            await call.read()

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

        echo = await measure(self.echo, ping_pong, clients, self.seconds)
        show("echo stream, 7 ping-pongs", clients, echo)
        piped = await measure(self.echo, pipelined_echo, clients, self.seconds)
        show("echo stream, 7 pipelined", clients, piped)
        result = await measure(self.store, transaction, clients, self.seconds)
        show("transaction, 5 adds, one store", clients, result, echo=result.rate / echo.rate)

    async def apply(self, clients: int) -> None:
        async def call(number: int) -> None:
            entries = [
                batch_pb2.ApplyEntry(store="apply", put=record((number * 16 + step) % 50_000)) for step in range(16)
            ]
            await self.batch.Apply(batch_pb2.ApplyRequest(entries=entries))

        result = await measure(self.store, call, clients, self.seconds)
        rate, _ = plain_sqlite(self.folder / f"plain-{clients}.db", 16 * clients, self.seconds)
        show("Apply of 16 puts, puts", clients, result, 16, plain_sqlite=result.rate * 16 / rate)

    async def pages(self, clients: int) -> None:
        rates = {}
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
                result = await measure(self.store, work, clients, self.seconds)
                rates[what, name] = result.rate
                ratios = {"small/large": rates[what, "small"] / result.rate} if name == "large" else {}
                show(f"{what}, {rows} rows", clients, result, **ratios)

    async def lists(self) -> None:
        async def get_all(_: int) -> None:
            answer = await self.stub.GetAll(pb.ObjectStoreRangeRequest(store="small"))
            assert len(answer.records) == 1000

        size = len(record(1).SerializeToString()) * 1000
        await self.unary_echo(1, b"x" * size, "list")
        result = await measure(self.store, get_all, 1, self.seconds)
        show("GetAll of 1 000, records", 1, result, 1000, echo=result.rate / self.echoes["list", 1])
        raw = self.store.channel.unary_unary("/gestalt.provider.v1.IndexedDB/GetAll")
        request = pb.ObjectStoreRangeRequest(store="small").SerializeToString()
        result = await measure(self.store, lambda _: raw(request), 1, self.seconds)
        show("  not decoded by the client", 1, result, 1000, echo=result.rate / self.echoes["list", 1])

    async def cursors(self, clients: int, prefetch: int) -> None:
        rows = 0

        async def walk() -> None:
            nonlocal rows
            call = self.stub.OpenCursor()
            opening = pb.OpenCursorRequest(store="large", prefetch=prefetch)
            await call.write(pb.CursorClientMessage(open=opening))
            await call.read()
            step = pb.CursorClientMessage(command=pb.CursorCommand(next=True))
            while time.perf_counter() < end:
                await call.write(step)
                answer = await call.read()
                if answer.WhichOneof("result") == "done":
                    break
                rows += 1 + len(answer.entries)
            call.cancel()

        start = time.perf_counter()
        cpu = self.store.cpu_s()
        end = start + self.seconds
        while time.perf_counter() < end:
            await asyncio.gather(*(walk() for _ in range(clients)))
        elapsed = time.perf_counter() - start
        result = Result(rows / elapsed, (self.store.cpu_s() - cpu) / max(rows, 1) * 1e6, 0)
        ratios = {} if prefetch else {"echo": result.rate / await self.stream_echo(clients)}
        show(f"cursor rows, prefetch {prefetch}", clients, result, **ratios)

    async def stream_echo(self, clients: int) -> float:
        """Ping-pong messages of a row's size on one long stream for each client: what a cursor without prefetch is."""
        payload = record(1).SerializeToString()
        turns = 200

        async def ping_pongs(_: int) -> None:
            call = self.echo_stream()
            for _ in range(turns):
                await call.write(payload)
                await call.read()
            call.cancel()

        result = await measure(self.echo, ping_pongs, clients, self.seconds)
        show("echo stream, ping-pongs", clients, result, turns)
        return result.rate * turns


def plain_sqlite(path: Path, group: int, seconds: float) -> tuple[float, int]:
    """The same rows through sqlite3 alone, ``group`` to a commit: puts a second."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE r (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL)")
    for name in ("a", "b"):
        connection.execute(
            f"CREATE TABLE {name} (key BLOB, pk BLOB, ties BLOB, record INTEGER, PRIMARY KEY (key, pk)) WITHOUT ROWID"
        )
    value = record(1).SerializeToString()
    number = 0
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        connection.execute("BEGIN IMMEDIATE")
        for _ in range(group):
            number = (number + 1) % 50_000
            key = f"key-{number:08d}".encode()
            row = connection.execute("SELECT id, value FROM r WHERE key = ?", (key,)).fetchone()
            if row is None:
                row_id = connection.execute("INSERT INTO r (key, value) VALUES (?, ?)", (key, value)).lastrowid
                for name in ("a", "b"):
                    connection.execute(f"INSERT INTO {name} VALUES (?, ?, ?, ?)", (key, key, b"", row_id))
            else:
                connection.execute("UPDATE r SET value = ? WHERE id = ?", (value, row[0]))
        connection.execute("COMMIT")
        if number < group:
            break
    elapsed = time.perf_counter() - start
    count = connection.execute("SELECT count(*) FROM r").fetchone()[0]
    connection.close()
    return max(count, number) / elapsed, count


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each measurement")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the large store")
    parser.add_argument("--only", default="", help="unary, transactions, apply, pages, lists or cursors")
    parser.add_argument("--echo", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.echo:
        await serve_echo(options.echo)
        return
    with tempfile.TemporaryDirectory(prefix="gstb-") as scratch:
        folder = Path(scratch)
        target = ["providers/indexeddb_store", "gestalt_store.provider:provider", "indexeddb"]
        echo = Server(folder / "e.sock", [sys.executable, __file__, "--echo", str(folder / "e.sock")])
        store = Server(folder / "s.sock", [sys.executable, "-m", "gestalt_sdk.run", *target])
        try:
            bench = Bench(echo, store, folder, options.seconds, options.rows)
            await bench.prepare()
            await echo.channel.channel_ready()
            print(f"{'store':34} clients      rate      server CPU  failed  ratio to")
            sections: dict[str, list[Callable[[], Awaitable[None]]]] = {
                "unary": [partial(bench.unary, n) for n in (1, 16, 64)],
                "transactions": [partial(bench.transactions, n) for n in (1, 16, 64)],
                "apply": [partial(bench.apply, n) for n in (1, 16)],
                "pages": [partial(bench.pages, n) for n in (1, 16)],
                "lists": [bench.lists],
                "cursors": [lambda: bench.cursors(16, 0), lambda: bench.cursors(1, 0), lambda: bench.cursors(1, 500)],
            }
            for name, parts in sections.items():
                if options.only in ("", name):
                    for part in parts:
                        await part()
        finally:
            await echo.stop()
            await store.stop()


if __name__ == "__main__":
    uvloop.run(main())
