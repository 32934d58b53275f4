"""The IndexedDB service of the minimal store: our store's on a SQLite file, behind what plants a fault in it.

``FAULTS`` has what each fault does to calls, answers, frames and refusals. A fault that is not in it is none of the
service.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import grpc
from gestalt_store.config import read_config
from gestalt_store.databases import Configured, Databases, SocketAccess
from gestalt_store.edge.service import add_services
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from gestalt_sdk.gen.extension.v1 import batch_pb2
from gestalt_sdk.gen.v1 import datastore_pb2 as pb

SERVICES = {
    **pb.DESCRIPTOR.services_by_name,
    **batch_pb2.DESCRIPTOR.services_by_name,
}
Code: TypeAlias = grpc.StatusCode
OK = Code.OK


class Refusal(Exception):
    """A call that the fault refuses."""

    def __init__(self, code: Code, text: str = "planted") -> None:
        super().__init__(text)
        self.code, self.text = code, text


class Done(Exception):
    """A call that the fault answers itself, with an empty message."""


@dataclass
class Seen:
    """What a fault remembers, of the whole process and of one stream."""

    latest: dict[tuple[str, str], pb.Record] = field(default_factory=dict)
    """Records as they were put last, whether committed or not."""
    first: dict[tuple[str, str], pb.Record] = field(default_factory=dict)
    """Records as they were read first in a transaction."""
    deleted: set[str] = field(default_factory=set)
    open_streams: int = 0
    left_open: list[int] = field(default_factory=list)


@dataclass
class Stream:
    """One stream that passes."""

    method: str
    seen: Seen
    store: str = ""
    mode: int = 0
    command: str = ""
    operation: str = ""


@dataclass(frozen=True)
class Fault:
    """What is changed; each may raise ``Refusal`` or ``Done``.

    Attributes:
        asked: Changes the request of a unary call.
        answered: Changes the answer of one, with its request.
        taken: Changes a frame of a client.
        sent: Changes a frame for a client.
        refused: Returns what a refusal becomes, of the method; OK makes it an empty answer.
    """

    asked: Callable[[str, Any, Seen], None] | None = None
    answered: Callable[[str, Any, Any], None] | None = None
    taken: Callable[[Stream, Any], None] | None = None
    sent: Callable[[Stream, Any], None] | None = None
    refused: Callable[[str, Code, str], tuple[Code, str]] | None = None


# ------------------------------------------------------------------------------------------------------ what is planted


def asked(*methods: str) -> Callable[[Callable[[Any], None]], Fault]:
    """Make a fault of a change to the requests of these methods, all when none is named."""

    def made(change: Callable[[Any], None]) -> Fault:
        def apply(method: str, request: Any, seen: Seen) -> None:
            if not methods or method in methods:
                change(request)

        return Fault(asked=apply)

    return made


def answered(*methods: str) -> Callable[[Callable[[Any], None]], Fault]:
    """Make a fault of a change to the answers of these methods."""

    def made(change: Callable[[Any], None]) -> Fault:
        def apply(method: str, request: Any, answer: Any) -> None:
            if method in methods:
                change(answer)

        return Fault(answered=apply)

    return made


def refused(before: Code, after: Code, *methods: str, text: str | None = None) -> Fault:
    """Make a fault of another status, and another text, for refusals of these methods."""

    def apply(method: str, code: Code, details: str) -> tuple[Code, str]:
        if code is not before or (methods and method not in methods):
            return code, details
        return after, details if text is None else text

    return Fault(refused=apply)


def taken(message: str, member: str) -> Callable[[Callable[[Any], None]], Fault]:
    """Make a fault of a change to a member of the frames of clients: ``open``, or ``command`` with ``advance``."""

    def made(change: Callable[[Any], None]) -> Fault:
        def apply(stream: Stream, frame: Any) -> None:
            if frame.WhichOneof("msg") != message:
                return
            part = getattr(frame, message)
            kind = {"command": "command", "operation": "operation"}.get(message)
            if kind is None or part.WhichOneof(kind) == member:
                change(part)

        return Fault(taken=apply)

    return made


def values_of(message: Any) -> list[Any]:
    """Every typed value in a message."""
    if isinstance(message, pb.TypedValue):
        return [message]
    found: list[Any] = []
    for descriptor, part in message.ListFields():
        if descriptor.message_type is None:
            continue
        if descriptor.message_type.GetOptions().map_entry:
            parts = [part[key] for key in part] if descriptor.message_type.fields_by_name["value"].message_type else []
        else:
            parts = [part] if isinstance(part, Message) else list(part)
        for each in parts:
            found += values_of(each)
    return found


def in_values(change: Callable[[Any], None]) -> Callable[[Any], None]:
    def apply(message: Any) -> None:
        for value in values_of(message):
            change(value)

    return apply


@in_values
def whole_doubles(value: Any) -> None:
    if value.WhichOneof("kind") == "float_value" and value.float_value.is_integer():
        value.int_value = int(value.float_value)


@in_values
def doubles(value: Any) -> None:
    if value.WhichOneof("kind") == "int_value":
        value.float_value = float(value.int_value)


@in_values
def no_nan(value: Any) -> None:
    if value.WhichOneof("kind") == "float_value" and value.float_value != value.float_value:
        value.float_value = 0.0


@in_values
def wrapped_json(value: Any) -> None:
    if value.WhichOneof("kind") == "json_value" and value.json_value.WhichOneof("kind") == "string_value":
        value.json_value.list_value.values.add().string_value = "wrapped"


@in_values
def no_deep_maps(value: Any) -> None:
    if value.WhichOneof("kind") == "json_value" and value.ByteSize() > 100:
        value.string_value = "deep"


@in_values
def valid_times(value: Any) -> None:
    if value.WhichOneof("kind") == "time_value" and not 0 <= value.time_value.nanos < 10**9:
        value.time_value.nanos = 0
    if value.WhichOneof("kind") == "time_value" and abs(value.time_value.seconds) > 10**11 * 3:
        value.time_value.seconds = 0


@in_values
def short_texts(value: Any) -> None:
    if value.WhichOneof("kind") == "string_value":
        value.string_value = value.string_value[:500]


def no_nulls(request: Any) -> None:
    for name in list(request.record.fields):
        if request.record.fields[name].WhichOneof("kind") in (None, "null_value"):
            del request.record.fields[name]


@in_values
def cut_bytes(value: Any) -> None:
    if len(value.bytes_value) > 1000:
        value.bytes_value = value.bytes_value[:1000]


def refuse_nulls(request: Any) -> None:
    if "v" in request.record.fields and request.record.fields["v"].WhichOneof("kind") == "null_value":
        raise Refusal(Code.INVALID_ARGUMENT)


def first_key_column(request: Any) -> None:
    for column in [column for column in request.schema.columns if column.primary_key][1:]:
        column.primary_key = False


def need_schema(request: Any) -> None:
    if not request.HasField("schema"):
        raise Refusal(Code.INVALID_ARGUMENT)


def need_name(request: Any) -> None:
    if not request.name:
        raise Refusal(Code.INVALID_ARGUMENT)


def top_fields(request: Any) -> None:
    for index in request.schema.indexes:
        index.key_path[:] = [part.partition(".")[0] for part in index.key_path]


def closed_bounds(request: Any) -> None:
    if request.HasField("range"):
        request.range.lower_open = False


def no_scalar_bounds(request: Any) -> None:
    for bound in (request.range.lower, request.range.upper):
        if bound.WhichOneof("kind") == "string_value":
            bound.Clear()


def trimmed(request: Any) -> None:
    request.id = request.id.strip()


def done(request: Any) -> None:
    raise Done


def reversed_keys(answer: Any) -> None:
    answer.keys[:] = answer.keys[::-1]


def reversed_records(answer: Any) -> None:
    records = list(answer.records)[::-1]
    del answer.records[:]
    answer.records.extend(records)


def sorted_records(answer: Any) -> None:
    records = sorted(answer.records, key=lambda record: record.fields["id"].string_value)
    del answer.records[:]
    answer.records.extend(records)


def first_hundred(answer: Any) -> None:
    del answer.keys[100:]


def one_more(answer: Any) -> None:
    answer.count += 1


def none_deleted(answer: Any) -> None:
    answer.deleted = 0


def no_current(answer: Any) -> None:
    for outcome in answer.outcomes:
        outcome.ClearField("current")


def other_order(answer: Any) -> None:
    outcomes = list(answer.outcomes)[::-1]
    del answer.outcomes[:]
    answer.outcomes.extend(outcomes)


def no_conditions(request: Any) -> None:
    for entry in request.entries:
        del entry.conditions[:]


def none_required(request: Any) -> None:
    for entry in request.entries:
        entry.required = False


def from_the_start(request: Any) -> None:
    request.page_token = b""


def any_page(request: Any) -> None:
    request.limit = 0
    request.page_token = b""
    del request.values[:]


def remember_puts(method: str, request: Any, seen: Seen) -> None:
    if method == "Put":
        seen.latest[(request.store, request.record.fields["id"].string_value)] = request.record
    if method == "DeleteObjectStore":
        seen.deleted.add(request.name)


def latest_in_cursors(stream: Stream, frame: Any) -> None:
    if stream.method == "OpenCursor" and frame.HasField("entry"):
        key = (stream.store, frame.entry.primary_key)
        if key in stream.seen.latest and frame.entry.HasField("record"):
            frame.entry.record.CopyFrom(stream.seen.latest[key])


def no_deleted_stores(stream: Stream, frame: Any) -> None:
    if stream.method == "OpenCursor" and stream.store in stream.seen.deleted:
        raise Refusal(Code.NOT_FOUND)


def in_transactions(change: Callable[[Stream, Any], None]) -> Callable[[Stream, Any], None]:
    def apply(stream: Stream, frame: Any) -> None:
        if stream.method == "Transaction" and frame.WhichOneof("msg") == "operation":
            change(stream, frame.operation)

    return apply


@in_transactions
def remember_transactions(stream: Stream, operation: Any) -> None:
    if operation.HasField("put"):
        key = operation.put.record.fields["id"].string_value
        stream.seen.latest[(operation.put.store, key)] = operation.put.record


@in_transactions
def uncommitted_records(stream: Stream, operation: Any) -> None:
    if stream.mode == 0:
        for record in operation.records.records:
            record.CopyFrom(stream.seen.latest.get((stream.store, record.fields["id"].string_value), record))


@in_transactions
def first_reads(stream: Stream, operation: Any) -> None:
    if operation.HasField("record"):
        record = operation.record.record
        record.CopyFrom(stream.seen.first.setdefault((stream.store, record.fields["id"].string_value), record))


@in_transactions
def without_last_record(stream: Stream, operation: Any) -> None:
    del operation.records.records[1:]


@in_transactions
def without_last_key(stream: Stream, operation: Any) -> None:
    del operation.keys.keys[10:]


@in_transactions
def one_more_inside(stream: Stream, operation: Any) -> None:
    if operation.HasField("count"):
        operation.count.count += 1


@in_transactions
def unknown_failures(stream: Stream, operation: Any) -> None:
    if operation.error.code:
        operation.error.code = 2


@in_transactions
def silent_failures(stream: Stream, operation: Any) -> None:
    operation.error.message = ""


@in_transactions
def number_one(stream: Stream, operation: Any) -> None:
    operation.request_id = 1


@in_transactions
def cut_values(stream: Stream, operation: Any) -> None:
    cut_bytes(operation)


def no_key_parts(stream: Stream, frame: Any) -> None:
    if stream.method == "OpenCursor":
        del frame.entry.key[:]


def no_updated_record(stream: Stream, frame: Any) -> None:
    if stream.command == "update":
        frame.entry.ClearField("record")


def done_when_deleted(stream: Stream, frame: Any) -> None:
    if stream.command == "delete":
        frame.done = True


def aborts_are_commits(stream: Stream, frame: Any) -> None:
    if frame.WhichOneof("msg") == "abort":
        frame.commit.SetInParent()


def commits_are_aborts(stream: Stream, frame: Any) -> None:
    if frame.WhichOneof("msg") == "commit":
        frame.abort.SetInParent()


def room_for_ten(stream: Stream, frame: Any) -> None:
    if stream.seen.open_streams > 10:
        raise Refusal(Code.INTERNAL, "no room")


def valid_frames(stream: Stream, frame: Any) -> None:
    valid_times(frame)


def next_in_place_of_key(command: Any) -> None:
    command.next = True


def one_less(command: Any) -> None:
    command.advance -= 1


def forwards(opening: Any) -> None:
    opening.direction = 0


def every_entry(opening: Any) -> None:
    opening.direction &= 2


def whole_range(opening: Any) -> None:
    opening.ClearField("range")


def two_more(opening: Any) -> None:
    opening.prefetch += 2


def canceled(command: Any) -> None:
    raise Refusal(Code.CANCELLED)


def readwrite(begin: Any) -> None:
    begin.mode = 1


def known_hints(begin: Any) -> None:
    if begin.durability_hint not in (0, 1, 2):
        raise Refusal(Code.INVALID_ARGUMENT)


def key_in_place_of_deletion(operation: Any) -> None:
    operation.get_key.CopyFrom(pb.ObjectStoreRequest(store=operation.delete.store, id=operation.delete.id))


def need_range(operation: Any) -> None:
    if not operation.delete_range.HasField("range"):
        raise Refusal(Code.INVALID_ARGUMENT)


def lose_thirds(operation: Any) -> None:
    if operation.put.record.fields["id"].string_value.endswith("-3"):
        operation.count.CopyFrom(pb.ObjectStoreRangeRequest(store=operation.put.store))


INDEX_READS = ("IndexGetAllKeys", "IndexGetAll", "IndexCount", "IndexGet", "IndexGetKey")
FAULTS: dict[str, Fault] = {
    "takes_any_schema": refused(Code.FAILED_PRECONDITION, OK, "CreateObjectStore"),
    "wants_a_schema": asked("CreateObjectStore")(need_schema),
    "enforces_not_null": asked("Put")(refuse_nulls),
    "keeps_deleted_stores": asked("DeleteObjectStore")(done),
    "wants_names": asked("CreateObjectStore")(need_name),
    "has_its_own_texts": refused(Code.NOT_FOUND, Code.NOT_FOUND, text="no such thing"),
    "adds_over": refused(Code.ALREADY_EXISTS, OK, "Add"),
    "clears_nothing": asked("Clear")(done),
    "ignores_open_bounds": asked("GetAllKeys")(closed_bounds),
    "lists_a_hundred": answered("GetAllKeys")(first_hundred),
    "lists_backwards": answered("GetAll")(reversed_records),
    "lists_indexes_backwards": answered("IndexGetAllKeys")(reversed_keys),
    "trims_ids": asked("Get")(trimmed),
    "finds_nothing_for_odd_ids": refused(Code.INVALID_ARGUMENT, Code.NOT_FOUND),
    "makes_whole_doubles_integers": asked("Put")(whole_doubles),
    "takes_the_first_key_column": asked("CreateObjectStore")(first_key_column),
    "makes_integers_doubles": answered("Get")(doubles),
    "loses_nan": asked("Put")(no_nan),
    "wraps_plain_json": asked("Put")(wrapped_json),
    "drops_nulls": asked("Put")(no_nulls),
    "flattens_deep_maps": asked("Put")(no_deep_maps),
    "takes_any_time": asked()(valid_times),
    "takes_any_time_in_streams": Fault(taken=valid_frames),
    "compares_values_loosely": asked("IndexGetAllKeys")(whole_doubles),
    "drops_scalar_bounds": asked("IndexGetAllKeys")(no_scalar_bounds),
    "indexes_fields_at_the_top": asked("CreateObjectStore")(top_fields),
    "takes_what_is_not_unique": refused(Code.ALREADY_EXISTS, OK, "Put"),
    "counts_one_more": answered("IndexCount")(one_more),
    "deletes_and_says_nothing": answered("IndexDelete")(none_deleted),
    "walks_forward_only": taken("open", "")(forwards),
    "sends_no_key_parts": Fault(sent=no_key_parts),
    "advances_one_less": taken("command", "advance")(one_less),
    "continues_by_one": taken("command", "continue_to_key")(next_in_place_of_key),
    "has_no_unique_cursors": taken("open", "")(every_entry),
    "ignores_cursor_ranges": taken("open", "")(whole_range),
    "answers_updates_without_record": Fault(sent=no_updated_record),
    "is_done_when_it_deleted": Fault(sent=done_when_deleted),
    "refuses_with_unknown": Fault(refused=lambda method, code, text: (Code.UNKNOWN, text)),
    "shows_cursors_what_others_write": Fault(asked=remember_puts, sent=latest_in_cursors),
    "ends_cursors_of_deleted_stores": Fault(asked=remember_puts, taken=no_deleted_stores),
    "cancels_what_is_closed": taken("command", "close")(canceled),
    "prefetches_unasked": taken("open", "")(two_more),
    "hides_own_writes": Fault(sent=without_last_record),
    "counts_one_more_inside": Fault(sent=one_more_inside),
    "fails_with_unknown": Fault(sent=unknown_failures),
    "forgets_keys_inside": Fault(sent=without_last_key),
    "deletes_too_late": taken("operation", "delete")(key_in_place_of_deletion),
    "writes_read_only": taken("begin", "")(readwrite),
    "fails_without_a_text": Fault(sent=silent_failures),
    "commits_what_is_aborted": Fault(taken=aborts_are_commits, sent=commits_are_aborts),
    "answers_number_one": Fault(sent=number_one),
    "cuts_large_values_inside": Fault(sent=cut_values),
    "reads_what_is_not_committed": Fault(taken=remember_transactions, sent=uncommitted_records),
    "wants_known_hints": taken("begin", "")(known_hints),
    "wants_ranges_inside": taken("operation", "delete_range")(need_range),
    "has_room_for_ten": Fault(taken=room_for_ten),
    "reads_what_it_read_first": Fault(sent=first_reads),
    "loses_some_writes": taken("operation", "put")(lose_thirds),
    "answers_in_another_order": answered("Apply")(other_order),
    "ignores_conditions": asked("Apply")(no_conditions),
    "returns_no_current": answered("Apply")(no_current),
    "requires_nothing": asked("Apply")(none_required),
    "passes_over_what_it_refuses": Fault(refused=lambda method, code, text: (OK, "")),
    "sorts_what_it_finds": answered("GetMany")(sorted_records),
    "begins_pages_again": asked("GetPage")(from_the_start),
    "takes_any_page": asked("GetPage")(any_page),
    "fails_for_sizes": refused(Code.RESOURCE_EXHAUSTED, Code.INTERNAL),
    "cuts_large_values": answered("Get")(cut_bytes),
    "takes_no_message_for_an_empty_one": refused(Code.INTERNAL, OK),
    "cuts_long_texts": asked("Put")(short_texts),
}
FORGETS, LOSES_WHEN_KILLED, IS_CONFIGURED = "forgets_at_its_end", "keeps_nothing_when_killed", "needs_no_configuration"
"""Faults of the life of the store, not of its service."""
LEAKS = "leaves_a_file_open_for_each_stream"
LEAKING = Fault()


# --------------------------------------------------------------------------------------------------- how it is planted


class Store:
    """The service on a file. ``configure`` before it is used, and ``close`` at the end."""

    def __init__(self, path: Path, fault: str = "") -> None:
        self._path, self._fault = path, fault
        self._configured = Configured()
        self._kept_at_the_end = path.with_suffix(".end")

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve it."""
        add_services(
            _Planted(server, LEAKING if self._fault == LEAKS else FAULTS.get(self._fault, Fault())),
            SocketAccess(self._configured, None),
        )

    async def configure(self) -> None:
        """Open the database, whatever the configuration says; the next time changes nothing."""
        if self._configured.databases is not None:
            return
        path = ":memory:" if self._fault == FORGETS else str(self._path)
        if self._fault == LOSES_WHEN_KILLED:
            for left in self._path.parent.glob(f"{self._path.name}*"):
                left.unlink()
            if self._kept_at_the_end.exists():
                shutil.copy(self._kept_at_the_end, self._path)
        self._configured.databases = Databases(read_config({"dsn": f"sqlite://{path}"})[0])

    async def close(self) -> None:
        if self._configured.databases is not None:
            await self._configured.databases.close()
            if self._fault == LOSES_WHEN_KILLED:
                shutil.copy(self._path, self._kept_at_the_end)


class _Planted:
    """In the place of a server: plants the fault in the handlers that are added to it."""

    def __init__(self, server: grpc.aio.Server, fault: Fault) -> None:
        self._server, self._fault = server, fault
        self._seen = Seen()

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        self._server.add_generic_rpc_handlers([_Handlers(handler, self._fault, self._seen) for handler in handlers])


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, inner: grpc.GenericRpcHandler, fault: Fault, seen: Seen) -> None:
        self._inner, self._fault, self._seen = inner, fault, seen

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        handler = self._inner.service(details)
        service, _, method = details.method.rpartition("/")
        known = SERVICES.get(service.rpartition(".")[2])
        if handler is None or known is None:
            return handler
        described = known.methods_by_name[method]
        kinds = GetMessageClass(described.input_type), GetMessageClass(described.output_type)
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary, method, *kinds))
        return grpc.stream_stream_rpc_method_handler(self._stream(handler.stream_stream, method, *kinds))

    def _unary(self, inner: Callable[..., Awaitable[bytes]], method: str, request_kind: Any, answer_kind: Any) -> Any:
        fault, seen = self._fault, self._seen

        async def call(data: bytes, context: Any) -> bytes:
            try:
                request = request_kind.FromString(data)
            except DecodeError:
                request = None
            try:
                if fault.asked is not None and request is not None:
                    fault.asked(method, request, seen)
                    data = request.SerializeToString()
                body = await inner(data, _Context(context, method, fault))
                if fault.answered is None:
                    return body
                answer = answer_kind.FromString(body)
                fault.answered(method, request, answer)
                return bytes(answer.SerializeToString())
            except Refusal as error:
                await context.abort(error.code, error.text)
            except Done:
                pass
            return b""

        return call

    def _stream(self, inner: Callable[..., Awaitable[None]], method: str, request_kind: Any, answer_kind: Any) -> Any:
        fault, seen = self._fault, self._seen

        async def call(requests: Any, context: Any) -> None:
            seen.open_streams += 1
            if fault is LEAKING:
                seen.left_open.append(os.dup(1))
            try:
                planted = _StreamContext(context, Stream(method, seen), fault, request_kind, answer_kind)
                await inner(requests, planted)
            except Refusal as error:
                await context.abort(error.code, error.text)
            except Done:
                pass
            finally:
                seen.open_streams -= 1

        return call


class _Context:
    """A call whose refusals may be changed."""

    def __init__(self, context: Any, method: str, fault: Fault) -> None:
        self._context, self._method, self._fault = context, method, fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def abort(self, code: Code, details: str = "", trailing_metadata: Any = ()) -> None:
        if self._fault.refused is not None:
            code, details = self._fault.refused(self._method, code, details)
            if code is OK:
                raise Done
        await self._context.abort(code, details, trailing_metadata)

    async def abort_with_status(self, status: Any) -> None:
        await self.abort(status.code, status.details, status.trailing_metadata)


class _StreamContext(_Context):
    """A stream whose frames may be changed."""

    def __init__(self, context: Any, stream: Stream, fault: Fault, request_kind: Any, answer_kind: Any) -> None:
        super().__init__(context, stream.method, fault)
        self._stream, self._request_kind, self._answer_kind = stream, request_kind, answer_kind

    async def read(self) -> Any:
        data = await self._context.read()
        if data is grpc.aio.EOF:
            return data
        frame = self._request_kind.FromString(data)
        stream = self._stream
        kind = frame.WhichOneof("msg")
        if kind == "open":
            stream.store = frame.open.store
        elif kind == "begin":
            stream.store, stream.mode = (frame.begin.stores or [""])[0], frame.begin.mode
        elif kind == "command":
            stream.command = frame.command.WhichOneof("command") or ""
        if self._fault.taken is not None:
            self._fault.taken(stream, frame)
        return frame.SerializeToString()

    async def write(self, data: bytes) -> None:
        frame = self._answer_kind.FromString(data)
        if self._fault.sent is not None:
            self._fault.sent(self._stream, frame)
        await self._context.write(frame.SerializeToString())
