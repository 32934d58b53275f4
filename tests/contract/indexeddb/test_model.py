"""A plain Python model beside the service: whatever is done to both, they answer alike (hypothesis, stateful)."""

from __future__ import annotations

import itertools
import math
import queue
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from gestalt_host.verification.suites.indexeddb.client import Code
from gestalt_host.verification.suites.indexeddb.messages import Time, bounds, fields, index, record, value
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.gen.v1 import datastore_pb2_grpc
from tests.support.nightly import at_night
from tests.support.rigs.postgres import PostgresServer
from tests.support.rigs.store import StoreProcess, short_folder

ANSWER_S = 20
INDEXES = (
    index("a", "a"),
    index("ab", "a", "b"),
    index("deep", "m.x"),
    index("u", "u", unique=True),
)
PATHS = {"a": ("a",), "ab": ("a", "b"), "deep": ("m.x",), "u": ("u",)}

keys = st.sampled_from(["k1", "k2", "k3", "k4", "k\u00e95", "k"])
TEXTS = ["", "x", "x\x00", "y", b"", b"x"]
TIMES = [Time(0), Time(0, 1)]
plain: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        False,
        True,
        -1,
        0,
        1,
        2,
        1.0,
        1.5,
        -0.0,
        2**53,
        2**53 + 1,
        float(2**53),
        "",
        "x",
        "x\x00",
        "y",
        b"",
        b"x",
        *TIMES,
    ]
)
anything = plain | st.sampled_from([["x"], ["x", 1.0], [], {"x": 1.0}, {"x": "y"}])
records = st.fixed_dictionaries(
    {}, optional={"a": anything, "b": plain, "m": st.sampled_from([{"x": 1.0}, {"x": None}, {}, "text"]), "u": plain}
)
limits = st.tuples(st.none() | plain, st.none() | plain, st.booleans(), st.booleans())

Missing = object()
Answer = tuple[str, Any]
Row = dict[str, Any]
Limits = tuple[Any, Any, bool, bool]


# --------------------------------------------------------------------------------------------------------------- model


def order(item: Any) -> Any:
    """What Python compares as the contract compares keys."""
    if item is None:
        return (0,)
    if isinstance(item, bool):
        return 1, item
    if isinstance(item, (int, float)):
        return 2, Fraction(item)
    if isinstance(item, Time):
        return 3, item.seconds, item.nanos
    if isinstance(item, str):
        return 4, item.encode()
    if isinstance(item, bytes):
        return 5, item
    if isinstance(item, dict):
        return 6, [(name.encode(), order(part)) for name, part in sorted(item.items())]
    return 7, [order(part) for part in item]


def exact(item: Any) -> Any:
    """Equal for the same encoded key only."""
    if isinstance(item, list):
        return "list", tuple(exact(part) for part in item)
    if isinstance(item, Time):
        return "time", item.seconds, item.nanos
    if isinstance(item, float):
        return "float", item, math.copysign(1, item)
    return type(item).__name__, repr(item)


def part(row: Row, path: str) -> Any:
    found: Any = row
    for name in path.split("."):
        if not isinstance(found, dict) or name not in found:
            return Missing
        found = found[name]
    return found


def index_key(row: Row, name: str) -> list[Any] | None:
    parts = [part(row, path) for path in PATHS[name]]
    if any(item is Missing for item in parts):
        return None
    if len(parts) == 1 and isinstance(parts[0], list):
        return parts[0]
    return parts


def identity(row: Row, name: str) -> Any:
    """What a unique index and an exact lookup compare."""
    parts = [part(row, path) for path in PATHS[name]]
    return None if any(item is Missing for item in parts) else tuple(exact(item) for item in parts)


class Model:
    """One store."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def copy(self) -> Model:
        other = Model()
        other.rows = dict(self.rows)
        return other

    def put(self, row: Row, *, add: bool) -> str:
        if add and row["id"] in self.rows:
            return "already exists"
        wanted = identity(row, "u")
        for key, other in self.rows.items():
            if key != row["id"] and wanted is not None and identity(other, "u") == wanted:
                return "unique index conflict"
        self.rows[row["id"]] = row
        return ""

    def walk(
        self, name: str, given: tuple[Any, ...], span: tuple[Any, Any, bool, bool] | None
    ) -> list[tuple[Any, str]]:
        """(key, primary key) in order; ``name`` blank for the store itself."""
        found = []
        for primary, row in self.rows.items():
            if not name:
                key: Any = order(primary)
                bound: Callable[[Any], Any] = order
            else:
                parts = index_key(row, name)
                if parts is None or not _begins(row, name, parts, given):
                    continue
                key, bound = [order(item) for item in parts], _array
            if span is None or _within(key, span, bound):
                found.append((key, primary))
        return sorted(found, key=lambda entry: (entry[0], entry[1].encode()))


def _array(bound: Any) -> Any:
    return [order(item) for item in bound] if isinstance(bound, list) else [order(bound)]


def _begins(row: Row, name: str, parts: list[Any], given: tuple[Any, ...]) -> bool:
    if len(given) > len(PATHS[name]):
        return False
    if len(given) == len(PATHS[name]):
        if len(PATHS[name]) == 1 and isinstance(part(row, PATHS[name][0]), list):
            return False
        return identity(row, name) == tuple(exact(item) for item in given)
    return [order(item) for item in parts[: len(given)]] == [order(item) for item in given]


def _within(key: Any, span: Limits, bound: Callable[[Any], Any]) -> bool:
    lower, upper, lower_open, upper_open = span
    if lower is not None and not (bound(lower) < key or (bound(lower) == key and not lower_open)):
        return False
    return upper is None or key < bound(upper) or (key == bound(upper) and not upper_open)


# ------------------------------------------------------------------------------------------------------------- machine


class Frames:
    """A transaction over the blocking client: one frame out, one in."""

    def __init__(self, stub: Any, stores: list[str]) -> None:

        self._outbox: Any = queue.SimpleQueue()
        self._number = 0
        self._call = stub.Transaction(iter(self._outbox.get, None), timeout=60)
        begin = pb.BeginTransactionRequest(stores=stores, mode=pb.TRANSACTION_READWRITE)
        self._outbox.put(pb.TransactionClientMessage(begin=begin))
        assert next(self._call).WhichOneof("msg") == "begin"

    def do(self, kind: str, request: Any) -> Any:
        self._number += 1
        operation = pb.TransactionOperation(request_id=self._number, **{kind: request})
        self._outbox.put(pb.TransactionClientMessage(operation=operation))
        return next(self._call).operation

    def end(self, *, commit: bool) -> None:
        if commit:
            self._outbox.put(pb.TransactionClientMessage(commit=pb.TransactionCommitRequest()))
            assert not next(self._call).commit.error.code
        else:
            self._outbox.put(pb.TransactionClientMessage(abort=pb.TransactionAbortRequest()))
            assert next(self._call).WhichOneof("msg") == "abort"
        self._outbox.put(None)

    def leave(self) -> None:
        self._outbox.put(None)
        for _ in self._call:
            pass


UNARY = {
    "get": "Get",
    "add": "Add",
    "put": "Put",
    "delete": "Delete",
    "clear": "Clear",
    "get_all": "GetAll",
    "get_all_keys": "GetAllKeys",
    "count": "Count",
    "delete_range": "DeleteRange",
    "index_get": "IndexGet",
    "index_get_all": "IndexGetAll",
    "index_get_all_keys": "IndexGetAllKeys",
    "index_count": "IndexCount",
    "index_delete": "IndexDelete",
}


class Comparison(RuleBasedStateMachine):
    """Every rule runs alone or, after ``begin``, inside the open transaction."""

    stub: Any
    numbers: Iterator[int]

    def __init__(self) -> None:
        super().__init__()
        self.store = f"model-{next(self.numbers)}"
        self.model = Model()
        self.before: Model | None = None
        self.transaction: Frames | None = None

    @initialize()
    def create(self) -> None:
        schema = pb.ObjectStoreSchema(indexes=INDEXES)
        self.stub.CreateObjectStore(pb.CreateObjectStoreRequest(name=self.store, schema=schema), timeout=ANSWER_S)

    def ask(self, kind: str, request: Any) -> Answer:
        """("", answer) or (error text, None); an error ends the transaction, in the model too."""
        if self.transaction is None:
            try:
                return "", getattr(self.stub, UNARY[kind])(request, timeout=ANSWER_S)
            except grpc.RpcError as error:
                assert error.code() in (Code.NOT_FOUND, Code.ALREADY_EXISTS), error
                return error.details() or "", None
        answer = self.transaction.do(kind, request)
        if answer.error.code:
            self.transaction.leave()
            assert self.before is not None
            self.transaction, self.model, self.before = None, self.before, None
            return answer.error.message, None
        return "", getattr(answer, answer.WhichOneof("result"))

    @precondition(lambda self: self.transaction is None)
    @rule()
    def begin(self) -> None:
        self.transaction, self.before = Frames(self.stub, [self.store]), self.model.copy()

    @precondition(lambda self: self.transaction is not None)
    @rule(commit=st.booleans())
    def end(self, commit: bool) -> None:
        assert self.transaction is not None
        assert self.before is not None
        self.transaction.end(commit=commit)
        if not commit:
            self.model = self.before
        self.transaction = self.before = None

    @rule(key=keys, row=records, add=st.booleans())
    def write(self, key: str, row: Row, add: bool) -> None:
        row = {"id": key, **row}
        expected = self.model.put(row, add=add)
        text, _ = self.ask("add" if add else "put", pb.RecordRequest(store=self.store, record=record(**row)))
        assert text == expected

    @rule(key=keys)
    def read(self, key: str) -> None:
        row = self.model.rows.get(key)
        text, answer = self.ask("get", pb.ObjectStoreRequest(store=self.store, id=key))
        assert text == ("" if row is not None else "not found")
        if row is not None:
            assert answer.record == record(**row)

    @rule(key=keys)
    def delete(self, key: str) -> None:
        self.model.rows.pop(key, None)
        assert self.ask("delete", pb.ObjectStoreRequest(store=self.store, id=key))[0] == ""

    @rule()
    def clear(self) -> None:
        self.model.rows.clear()
        assert self.ask("clear", pb.ObjectStoreNameRequest(store=self.store))[0] == ""

    @rule(
        name=st.sampled_from(["", *PATHS]),
        given=st.lists(plain, max_size=3).map(tuple),
        span=st.none() | limits,
        what=st.sampled_from(["all", "keys", "count", "delete", "first"]),
    )
    def query(self, name: str, given: tuple[Any, ...], span: Any, what: str) -> None:
        if not name:
            given = ()
        expected = [primary for _, primary in self.model.walk(name, given, span)]
        key_range = None if span is None else bounds(span[0], span[1], lower_open=span[2], upper_open=span[3])
        kinds = {"all": "get_all", "keys": "get_all_keys", "count": "count", "delete": "delete_range", "first": ""}
        if name:
            request: Any = pb.IndexQueryRequest(
                store=self.store, index=name, values=[value(item) for item in given], range=key_range
            )
            kinds = {what: f"index_{kind}" for what, kind in kinds.items()} | {
                "delete": "index_delete",
                "first": "index_get",
            }
        else:
            request = pb.ObjectStoreRangeRequest(store=self.store, range=key_range)
        if not kinds[what]:
            return
        first = self.model.rows[expected[0]] if expected else None
        rows = [record(**self.model.rows[key]) for key in expected]
        text, answer = self.ask(kinds[what], request)
        if what == "first":
            assert text == ("" if first is not None else "record not found")
            assert first is None or answer.record == record(**first)
            return
        assert text == ""
        if what == "all":
            assert list(answer.records) == rows
        elif what == "keys":
            assert list(answer.keys) == expected
        elif what == "count":
            assert answer.count == len(expected)
        else:
            assert answer.deleted == len(expected)
            for key in expected:
                del self.model.rows[key]

    @precondition(lambda self: self.transaction is None)
    @rule(
        name=st.sampled_from(["", *PATHS]),
        span=st.none() | limits,
        direction=st.integers(0, 3),
        moves=st.lists(st.sampled_from([0, 0, 0, 1, 2]) | plain.map(lambda item: (item,)), max_size=6),
        prefetch=st.sampled_from([0, 3]),
    )
    def cursor(self, name: str, span: Any, direction: int, moves: list[Any], prefetch: int) -> None:

        entries = self.model.walk(name, (), span)
        if direction >= 2:
            entries.reverse()
        if direction in (1, 3) and name:
            entries = [
                entry for position, entry in enumerate(entries) if not position or entries[position - 1][0] != entry[0]
            ]
        if prefetch:
            moves = [0] * 8
        outbox: Any = queue.SimpleQueue()
        call = self.stub.OpenCursor(iter(outbox.get, None), timeout=ANSWER_S)
        opening = pb.OpenCursorRequest(store=self.store, index=name, direction=direction, prefetch=prefetch)  # type: ignore[arg-type]
        if span is not None:
            opening.range.CopyFrom(bounds(span[0], span[1], lower_open=span[2], upper_open=span[3]))
        outbox.put(pb.CursorClientMessage(open=opening))
        assert not next(call).done
        at = -1
        for move in moves:
            if isinstance(move, int):
                command = pb.CursorCommand(advance=move) if move else pb.CursorCommand(next=True)
                at += move + 1
            else:
                (item,) = move
                command = pb.CursorCommand(continue_to_key=pb.CursorKeyTarget(key=[pb.KeyValue(scalar=value(item))]))
                target = [order(item)] if name else order(item)
                at += 1
                while at < len(entries) and (entries[at][0] < target if direction < 2 else entries[at][0] > target):
                    at += 1
            outbox.put(pb.CursorClientMessage(command=command))
            answer = next(call)
            if at >= len(entries):
                assert answer.done
                at = len(entries)
                continue
            found = [answer.entry, *answer.entries]
            assert len(found) == 1 + min(prefetch, len(entries) - at - 1)
            for entry in found:
                assert entry.primary_key == entries[at][1]
                assert fields(entry.record) == self.model.rows[entry.primary_key]
                at += 1
            at -= 1
        outbox.put(pb.CursorClientMessage(command=pb.CursorCommand(close=True)))
        outbox.put(None)
        assert list(call) == []

    def teardown(self) -> None:
        if self.transaction is not None:
            self.transaction.end(commit=False)
        self.stub.DeleteObjectStore(pb.DeleteObjectStoreRequest(name=self.store), timeout=ANSWER_S)


@pytest.mark.timeout(at_night(1800, otherwise=120))
@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgres", marks=pytest.mark.ours("store"))])
def test_the_service_and_a_plain_model_answer_alike(
    request: pytest.FixtureRequest, foreign_socket: Path | None, engine: str
) -> None:
    with short_folder() as folder:
        config = {"dsn": f"sqlite://{folder}/store.db"}
        if engine == "postgres":
            server: PostgresServer = request.getfixturevalue("postgres_server")
            config = {"dsn": server.dsn, "schema": server.new_schema()}
        store = StoreProcess(Path(folder), config)
        if foreign_socket is None:
            store.start()
        else:
            store.socket = foreign_socket
        try:
            with store.connect() as channel:
                machine: Any = type(
                    "Comparison",
                    (Comparison,),
                    {"stub": datastore_pb2_grpc.IndexedDBStub(channel), "numbers": itertools.count(1)},
                )
                run_state_machine_as_test(
                    machine,
                    settings=settings(
                        max_examples=at_night(600, otherwise=30),
                        stateful_step_count=40,
                        deadline=None,
                        suppress_health_check=list(HealthCheck),
                    ),
                )
        finally:
            if foreign_socket is None:
                store.stop()
