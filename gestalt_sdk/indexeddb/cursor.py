"""Walk over an object store or an index: one stream, one request and one answer at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import grpc

from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.gen.v1 import datastore_pb2_grpc
from gestalt_sdk.indexeddb.convert import entry_from_proto, error_of_call
from gestalt_sdk.indexeddb.errors import StoreUnavailable
from gestalt_sdk.indexeddb.schema import CursorEntry, FieldValue, Record
from gestalt_sdk.indexeddb.values import to_key, to_record
from gestalt_sdk.transport.channels import Patience

CLOSE_GRACE_S = 2.0


class Cursor:
    """Walk over entries as they were when the cursor opened: ``async with``, then ``async for`` or ``next``.

    With ``prefetch`` the store sends many entries in one answer where it can; such a cursor only moves by ``next``.
    After an error of the store the cursor is closed.
    """

    def __init__(
        self, stub: datastore_pb2_grpc.IndexedDBStub, request: pb.OpenCursorRequest, patience: Patience
    ) -> None:
        self._stub = stub
        self._request = request
        self._patience = patience
        self._timeout_s = patience.timeout_s
        self._index = bool(request.index)
        self._call: Any = None
        self._ahead: deque[pb.CursorEntry] = deque()
        self._current: CursorEntry | None = None
        self._closed = False

    @property
    def key(self) -> FieldValue:
        """Return the current primary key, for an index cursor the list of key parts; None when on no entry."""
        return self._current.key if self._current else None

    @property
    def primary_key(self) -> str:
        """Return the primary key of the current entry in the store's text form; empty when on none."""
        return self._current.primary_key if self._current else ""

    @property
    def value(self) -> Record | None:
        """Return the current record; None for keys only and when on no entry."""
        return self._current.record if self._current else None

    async def __aenter__(self) -> Self:
        self._call = self._stub.OpenCursor(wait_for_ready=self._patience.for_ready)
        await self._exchange(pb.CursorClientMessage(open=self._request))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def __aiter__(self) -> AsyncIterator[CursorEntry]:
        while (entry := await self.next()) is not None:
            yield entry

    async def next(self) -> CursorEntry | None:
        """Move to the next entry and return it; None at the end."""
        raw = await self.next_raw()
        self._current = None if raw is None else entry_from_proto(raw, index=self._index)
        return self._current

    async def next_raw(self) -> pb.CursorEntry | None:
        """Move to the next entry without conversion; ``key``, ``primary_key`` and ``value`` stay as they are."""
        if self._ahead:
            return self._ahead.popleft()
        response = await self._exchange(_command(next=True))
        if response.WhichOneof("result") != "entry":
            return None
        self._ahead.extend(response.entries)
        return response.entry

    async def seek_raw(self, target: pb.CursorKeyTarget) -> pb.CursorEntry | None:
        """Do what ``continue_to`` does, without conversion; see ``next_raw``."""
        self._only_without_prefetch("seek_raw")
        response = await self._exchange(_command(continue_to_key=target))
        return response.entry if response.WhichOneof("result") == "entry" else None

    async def continue_to(self, key: FieldValue) -> CursorEntry | None:
        """Move at least one step, to the first entry at or behind ``key`` in the cursor's direction.

        For an index cursor a list or tuple names the key parts; a shorter one is a prefix.
        """
        self._only_without_prefetch("continue_to")
        parts = list(key) if self._index and isinstance(key, (list, tuple)) else [key]
        target = pb.CursorKeyTarget(key=[to_key(part) for part in parts])
        return await self._move(_command(continue_to_key=target))

    async def advance(self, n: int) -> CursorEntry | None:
        """Skip ``n`` entries, at least one, and return the next."""
        self._only_without_prefetch("advance")
        return await self._move(_command(advance=n))

    async def update(self, record: Record) -> CursorEntry | None:
        """Replace the current record; its primary key stays. Returns the entry with the new record."""
        self._only_without_prefetch("update")
        return await self._move(_command(update=to_record(record)))

    async def delete(self) -> None:
        """Delete the current record; the position stays."""
        self._only_without_prefetch("delete")
        await self._exchange(_command(delete=True))

    async def close(self) -> None:
        """Close the cursor; idempotent, never raises."""
        if self._closed or self._call is None:
            return
        self._closed = True
        try:
            async with asyncio.timeout(CLOSE_GRACE_S):
                await self._call.write(_command(close=True))
                await self._call.done_writing()
                await self._call.read()
        except (grpc.aio.AioRpcError, TimeoutError, asyncio.InvalidStateError):
            pass
        finally:
            self._call.cancel()

    async def _move(self, message: pb.CursorClientMessage) -> CursorEntry | None:
        response = await self._exchange(message)
        if response.WhichOneof("result") == "entry":
            self._current = entry_from_proto(response.entry, index=self._index)
        else:
            self._current = None
        return self._current

    async def _exchange(self, message: pb.CursorClientMessage) -> pb.CursorResponse:
        if self._call is None or self._closed:
            raise StoreUnavailable("the cursor is not open")
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._call.write(message)
                response = await self._call.read()
                if response is grpc.aio.EOF:
                    raise StoreUnavailable("the store ended the cursor without an answer")
        except grpc.aio.AioRpcError as error:
            self._closed = True
            raise error_of_call(error) from error
        except asyncio.InvalidStateError as error:
            self._closed = True
            await self._raise_status(error)
            raise StoreUnavailable("the store ended the cursor") from error
        except BaseException as error:
            self._closed = True
            self._call.cancel()
            if isinstance(error, TimeoutError):
                raise StoreUnavailable(f"the store did not answer within {self._timeout_s:g} s") from error
            raise
        return response

    async def _raise_status(self, cause: Exception) -> None:
        """Raise the status of a stream that has ended; a write on it says only that it has."""
        try:
            await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error) from cause

    def _only_without_prefetch(self, method: str) -> None:
        if self._request.prefetch:
            raise ValueError(f"a cursor with prefetch moves by next only; open it without to use {method}")


def _command(**members: Any) -> pb.CursorClientMessage:
    return pb.CursorClientMessage(command=pb.CursorCommand(**members))
