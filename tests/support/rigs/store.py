"""A store on a socket, and short words for what the tests say to it; nothing here knows the implementation."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
from google.protobuf.struct_pb2 import Value

from gestalt_sdk.gen.extension.v1 import batch_pb2_grpc, schemas_pb2_grpc, scopes_pb2, scopes_pb2_grpc
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.gen.v1 import datastore_pb2_grpc, runtime_pb2, runtime_pb2_grpc
from gestalt_sdk.transport.channels import open_channel
from gestalt_sdk.transport.environment import Address
from gestalt_sdk.transport.values import to_struct, to_value
from tests.support.commands import ROOT, STORE
from tests.support.waiting import until

DEADLINE_S = 30.0

Code: TypeAlias = grpc.StatusCode
ANY_NAMES = ("", "with space", "sch.dot", "x'; DROP TABLE stores; --", "\u00fc\x00\U0001f600", "a" * 500)
"""Store names with something special about them."""
_numbers = itertools.count(1)


class Time:
    """A time value: seconds and nanoseconds since the epoch."""

    def __init__(self, seconds: int, nanos: int = 0) -> None:
        self.seconds, self.nanos = seconds, nanos


class Json:
    """A json_value, whatever it holds."""

    def __init__(self, value: Any) -> None:
        self.value = value


def value(native: Any) -> pb.TypedValue:
    """The TypedValue of a native one; lists and dicts are json."""
    made = pb.TypedValue()
    if native is None:
        made.null_value = 0  # type: ignore[assignment]
    elif isinstance(native, bool):
        made.bool_value = native
    elif isinstance(native, int):
        made.int_value = native
    elif isinstance(native, float):
        made.float_value = native
    elif isinstance(native, str):
        made.string_value = native
    elif isinstance(native, bytes):
        made.bytes_value = native
    elif isinstance(native, Time):
        made.time_value.seconds, made.time_value.nanos = native.seconds, native.nanos
        made.time_value.SetInParent()
    elif isinstance(native, Json):
        made.json_value.CopyFrom(to_value(native.value))
    else:
        made.json_value.CopyFrom(to_value(native))
    return made


def record(**fields: Any) -> pb.Record:
    made = pb.Record()
    for name, native in fields.items():
        made.fields[name].CopyFrom(native if isinstance(native, pb.TypedValue) else value(native))
    return made


def native(typed: pb.TypedValue) -> Any:
    kind = typed.WhichOneof("kind")
    if kind == "time_value":
        return (typed.time_value.seconds, typed.time_value.nanos)
    if kind == "json_value":
        return _json(typed.json_value)
    return None if kind in (None, "null_value") else getattr(typed, kind)


def _json(item: Value) -> Any:
    kind = item.WhichOneof("kind")
    if kind == "struct_value":
        return {name: _json(part) for name, part in item.struct_value.fields.items()}
    if kind == "list_value":
        return [_json(part) for part in item.list_value.values]
    return None if kind in (None, "null_value") else getattr(item, kind)


def fields(made: pb.Record) -> dict[str, Any]:
    return {name: native(typed) for name, typed in made.fields.items()}


def bounds(lower: Any = ..., upper: Any = ..., *, lower_open: bool = False, upper_open: bool = False) -> pb.KeyRange:
    made = pb.KeyRange(lower_open=lower_open, upper_open=upper_open)
    if lower is not ...:
        made.lower.CopyFrom(value(lower))
    if upper is not ...:
        made.upper.CopyFrom(value(upper))
    return made


def index(name: str, *key_path: str, unique: bool = False) -> pb.IndexSchema:
    return pb.IndexSchema(name=name, key_path=key_path, unique=unique)


def scalar(native_value: Any) -> pb.KeyValue:
    return pb.KeyValue(scalar=value(native_value))


def key_of(entry: pb.CursorEntry) -> list[Any]:
    return [_key(part) for part in entry.key]


def _key(part: pb.KeyValue) -> Any:
    if part.WhichOneof("kind") == "array":
        return [_key(element) for element in part.array.elements]
    return native(part.scalar)


class StoreProcess:
    """The store under test as a process, configured."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder = folder
        self.config = config
        self.socket = folder / "p.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, configure: bool = True) -> None:
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        environment |= {
            "PYTHONPATH": str(ROOT),
            "GESTALT_PLUGIN_SOCKET": str(self.socket),
            "GESTALT_PLUGIN_PARENT_PID": str(os.getpid()),
            "GESTALT_PLUGIN_NAME": "store",
        }
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(STORE.words(), env=environment, stderr=log, stdin=subprocess.DEVNULL)
        until(lambda: self._running() and self.socket.exists(), within_s=45, what=self.log)
        with self.connect() as channel:
            grpc.channel_ready_future(channel).result(timeout=45)
            if configure:
                self.configure(self.config, channel)

    def _running(self) -> bool:
        """Return true; raise AssertionError, with what the store printed, once its process has ended."""
        assert self.process is not None
        if (status := self.process.poll()) is not None:
            raise AssertionError(f"the store exited with {status}: {self.log()}")
        return True

    def connect(self) -> grpc.Channel:
        return grpc.insecure_channel(f"unix:{self.socket}", options=[("grpc.use_local_subchannel_pool", 1)])

    def configure(self, config: dict[str, Any], channel: grpc.Channel | None = None) -> None:
        if channel is None:
            with self.connect() as own:
                self.configure(config, own)
            return
        runtime_pb2_grpc.ProviderLifecycleStub(channel).ConfigureProvider(
            runtime_pb2.ConfigureProviderRequest(name="store", protocol_version=3, config=to_struct(config)),
            timeout=DEADLINE_S,
        )

    def open_scope(self, db: str, path: Path, *stores: str) -> None:
        with self.connect() as channel:
            scopes_pb2_grpc.IndexedDBScopesStub(channel).OpenScope(
                scopes_pb2.OpenScopeRequest(db=db, socket_path=str(path), object_stores=stores), timeout=DEADLINE_S
            )

    def stop(self, how: int = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def log(self) -> str:
        return (self.folder / "log").read_text()


def short_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder whose path leaves room for socket names."""
    return tempfile.TemporaryDirectory(prefix="gst-", dir="/tmp")


class Stream:
    """One bidirectional call, frame by frame."""

    def __init__(self, call: Any) -> None:
        self.call = call

    async def send(self, *frames: Any) -> None:
        for frame in frames:
            await self.call.write(frame)

    async def receive(self) -> Any:
        """The next frame; None when the stream ended OK; an AioRpcError when it ended otherwise."""
        async with asyncio.timeout(DEADLINE_S):
            answer = await self.call.read()
        return None if answer is grpc.aio.EOF else answer

    async def ask(self, frame: Any) -> Any:
        await self.send(frame)
        return await self.receive()

    async def half_close(self) -> None:
        await self.call.done_writing()

    async def ended(self) -> tuple[Code, str]:
        """Status of the call, which must be ending; frames not read yet are skipped."""
        async with asyncio.timeout(DEADLINE_S):
            try:
                while await self.call.read() is not grpc.aio.EOF:
                    pass
            except grpc.aio.AioRpcError as error:
                return error.code(), error.details() or ""
            return await self.call.code(), await self.call.details() or ""


class Cursor(Stream):
    async def move(self, **command: Any) -> Any:
        return await self.ask(pb.CursorClientMessage(command=pb.CursorCommand(**command)))

    async def next(self) -> Any:
        return await self.move(next=True)

    async def keys(self) -> list[str]:
        """Primary keys from here to the end."""
        found = []
        while (answer := await self.next()).WhichOneof("result") == "entry":
            found.append(answer.entry.primary_key)
        return found


class Transaction(Stream):
    def __init__(self, call: Any) -> None:
        super().__init__(call)
        self._number = 0

    def operation(self, **operation: Any) -> pb.TransactionClientMessage:
        self._number += 1
        return pb.TransactionClientMessage(operation=pb.TransactionOperation(request_id=self._number, **operation))

    async def do(self, **operation: Any) -> pb.TransactionOperationResponse:
        answer = await self.ask(self.operation(**operation))
        assert answer.WhichOneof("msg") == "operation"
        assert answer.operation.request_id == self._number
        return answer.operation

    async def put(self, store: str, **values: Any) -> pb.TransactionOperationResponse:
        return await self.do(put=pb.RecordRequest(store=store, record=record(**values)))

    async def all(self, store: str) -> list[dict[str, Any]]:
        answer = await self.do(get_all=pb.ObjectStoreRangeRequest(store=store))
        assert not answer.error.code, answer.error
        return [fields(item) for item in answer.records.records]

    async def commit(self) -> Any:
        answer = await self.ask(pb.TransactionClientMessage(commit=pb.TransactionCommitRequest()))
        return answer.commit.error

    async def abort(self) -> None:
        answer = await self.ask(pb.TransactionClientMessage(abort=pb.TransactionAbortRequest(reason="test")))
        assert answer.WhichOneof("msg") == "abort"


def new_name() -> str:
    return f"s{os.getpid()}-{time.monotonic_ns()}-{next(_numbers)}"


class Service:
    """The service on one socket, and a new store name for whoever asks."""

    def __init__(self, socket: Path, names: Iterable[str] = (), *, scoped: bool = False) -> None:
        """``names``: of the stores that a relay lets through, for ``new_store`` to take from."""
        self.relayed = bool(names)
        self.needs_range = self.relayed or scoped
        """Whether DeleteRange must have a range, as for every consumer (contract.md 5.5)."""
        self._names = iter(list(names))
        self.channel = open_channel(Address(f"unix:{socket}"))
        self.stub = datastore_pb2_grpc.IndexedDBStub(self.channel)
        self.batch = batch_pb2_grpc.IndexedDBBatchStub(self.channel)
        self.schemas = schemas_pb2_grpc.IndexedDBSchemasStub(self.channel)
        self._streams: list[Stream] = []

    def missing(self, name: str) -> str:
        """What is said of a store that does not exist, and that a relay does not let through."""
        return "datastore: not found" if self.relayed else f"object store not found: {name}"

    async def close(self) -> None:
        for stream in self._streams:
            stream.call.cancel()
        await self.channel.close()

    async def call(self, method: str, request: Any) -> Any:
        return await getattr(self.stub, method)(request, timeout=DEADLINE_S)

    async def refused(self, method: str, request: Any) -> tuple[Code, str]:
        """Status of a call that must fail."""
        try:
            await self.call(method, request)
        except grpc.aio.AioRpcError as error:
            return error.code(), error.details() or ""
        raise AssertionError(f"{method} succeeded")

    async def new_store(self, *indexes: pb.IndexSchema, columns: list[pb.ColumnDef] | None = None) -> str:
        name = next(self._names) if self.relayed else new_name()
        await self.create(name, *indexes, columns=columns)
        return name

    async def create(self, name: str, *indexes: pb.IndexSchema, columns: list[pb.ColumnDef] | None = None) -> None:
        schema = pb.ObjectStoreSchema(indexes=indexes, columns=columns)
        await self.call("CreateObjectStore", pb.CreateObjectStoreRequest(name=name, schema=schema))

    async def put(self, store: str, **values: Any) -> None:
        await self.call("Put", pb.RecordRequest(store=store, record=record(**values)))

    async def add(self, store: str, **values: Any) -> None:
        await self.call("Add", pb.RecordRequest(store=store, record=record(**values)))

    async def get(self, store: str, key: str) -> dict[str, Any]:
        answer = await self.call("Get", pb.ObjectStoreRequest(store=store, id=key))
        return fields(answer.record)

    async def keys(self, store: str, key_range: pb.KeyRange | None = None) -> list[str]:
        answer = await self.call("GetAllKeys", pb.ObjectStoreRangeRequest(store=store, range=key_range))
        return list(answer.keys)

    async def index_keys(self, store: str, name: str, *values: Any, key_range: pb.KeyRange | None = None) -> list[str]:
        request = pb.IndexQueryRequest(store=store, index=name, values=[value(v) for v in values], range=key_range)
        return list((await self.call("IndexGetAllKeys", request)).keys)

    async def cursor(self, store: str, **opening: Any) -> Cursor:
        """An open cursor, acknowledged."""
        cursor = Cursor(self.stub.OpenCursor())
        self._streams.append(cursor)
        answer = await cursor.ask(pb.CursorClientMessage(open=pb.OpenCursorRequest(store=store, **opening)))
        assert answer.WhichOneof("result") == "done"
        assert not answer.done
        return cursor

    def stream(self, method: str) -> Stream:
        stream = Stream(getattr(self.stub, method)())
        self._streams.append(stream)
        return stream

    async def transaction(self, *stores: str, mode: int = 1, durability: int = 0) -> Transaction:
        """A begun transaction, read-write unless told otherwise."""
        transaction = Transaction(self.stub.Transaction())
        self._streams.append(transaction)
        begin = pb.BeginTransactionRequest(stores=stores, mode=mode, durability_hint=durability)  # type: ignore[arg-type]
        answer = await transaction.ask(pb.TransactionClientMessage(begin=begin))
        assert answer.WhichOneof("msg") == "begin"
        return transaction


LIMITS = {"lock_wait_s": 3, "transaction_idle_s": 20, "snapshot_idle_s": 20}


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'providers/indexeddb_store'}"}
    return subprocess.run(
        [sys.executable, "-m", "gestalt_store", *arguments], env=environment, capture_output=True, text=True, timeout=60
    )
