"""Send many calls of one method over one stream: what waits travels in one message, in both directions.

A unary call costs several times as much as a message on an open stream, so where many calls are under way at once
(runs dispatched to the host) they share one. ``StreamedCalls`` is the calling side, ``answer_calls`` the serving side;
both work on any pair of messages shaped like ``DispatchCalls`` and ``DispatchResults`` (proto/extension/v1).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, Protocol

import grpc
import structlog
from google.rpc import status_pb2

from gestalt_sdk.errors import GestaltError, ServiceRefused
from gestalt_sdk.transport.environment import RELAY_REFUSAL

STREAMED_BYTES = 256 * 1024
"""A bigger request is to be a call of its own: on the stream it would hold up those behind it."""
MESSAGE_BYTES = 1024 * 1024
"""A message takes no further call or result beyond this size; one that is bigger travels alone."""
RESULT_LIMIT_BYTES = 60 * 1024 * 1024
REOPEN_FIRST_S, REOPEN_LIMIT_S = 0.05, 2.0

_UNREACHABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)

log = structlog.get_logger()


class StreamUnserved(GestaltError):
    """Report that the peer does not serve the stream; the call was never sent."""


class CallFailed(ServiceRefused):
    """Report the status with which a call ended.

    It is the peer's, or UNAVAILABLE when the stream broke and whether the call took effect is not known.
    """


class _Call:
    __slots__ = ("answer", "number", "request")

    def __init__(self, number: int, request: Any, answer: asyncio.Future[Any]) -> None:
        self.number = number
        self.request = request
        self.answer = answer


class StreamedCalls:
    """Make calls over a stream that opens with the first call, and again, when it broke, with the next one.

    A call that was sent on a stream that broke fails: nobody knows what became of it. One that was not yet sent goes
    out on the next stream. Nothing is left behind when the channel is closed.

    Args:
        open_stream: Begins the bidirectional call.
        calls_type: Message class with ``calls`` (``call_id``, ``request``) and ``cancellations``.
        patient: Calls wait for a peer that is not there as long as it takes; ``open_stream`` must do so too. Otherwise
            they are given back as ``StreamUnserved``, for the plain call to find out why.
    """

    def __init__(self, open_stream: Callable[[], Any], calls_type: Callable[[], Any], *, patient: bool) -> None:
        self._patient = patient
        self._open_stream = open_stream
        self._calls_type = calls_type
        self._numbers = 0
        self._unsent: dict[int, _Call] = {}
        self._sent: dict[int, _Call] = {}
        self._cancelled: list[int] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.served = True
        """False once the peer has turned out not to serve the stream."""

    async def call(self, request: Any) -> Any:
        """Return the response, however long it takes; cancelling cancels the call at the peer.

        Raises:
            StreamUnserved: use the plain call.
            CallFailed: it ended with a status.
        """
        if not self.served:
            raise StreamUnserved("the peer does not serve the stream")
        self._numbers += 1
        number = self._numbers
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._unsent[number] = _Call(number, request, answer)
        self._wake.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="streamed calls")
        try:
            return await answer
        finally:
            if self._unsent.pop(number, None) is None and self._sent.pop(number, None) is not None:
                self._cancelled.append(number)
                self._wake.set()

    async def close(self) -> None:
        """End the stream; calls without an answer fail."""
        self.served = False
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._fail_sent("the stream was closed")
        self._give_back()

    def give_up(self, error: Callable[[], Exception]) -> None:
        """End every call that has no answer with an error of its own; the peer is told that they are cancelled."""
        for call in (*self._unsent.values(), *self._sent.values()):
            if not call.answer.done():
                call.answer.set_exception(error())

    async def _run(self) -> None:
        """Keep a stream until it breaks, and open another one while there is something to send."""
        delay_s = REOPEN_FIRST_S
        while self.served and self._unsent:
            opened = False
            try:
                stream = self._open_stream()
                try:
                    if await self._opened(stream):
                        opened, delay_s = True, REOPEN_FIRST_S
                        await self._converse(stream)
                finally:
                    stream.cancel()
                self._fail_sent("the peer ended the stream")
            except grpc.aio.AioRpcError as error:
                code, text = error.code(), error.details() or ""
                if not opened and (code not in _UNREACHABLE or RELAY_REFUSAL in text):
                    self.served = False
                    if code is not grpc.StatusCode.UNIMPLEMENTED and RELAY_REFUSAL not in text:
                        log.warning("calls travel one by one", event_name="stream.refused", code=code.name, error=text)
                self._fail_sent(text or "the stream broke")
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                self._fail_sent("the channel was closed")
                break
            except Exception as error:
                # A bug, or a message that cannot be encoded: who waits must learn of it.
                log.exception("stream failed", event_name="stream.failed")
                self._fail_sent(f"the stream failed: {error}")
            if opened or not self.served:
                continue
            if not self._patient:
                break
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, REOPEN_LIMIT_S)
        self._give_back()

    async def _opened(self, stream: Any) -> bool:
        """Wait for the greeting: whoever sends it serves the stream."""
        return await stream.read() is not grpc.aio.EOF

    async def _converse(self, stream: Any) -> None:
        """Send and receive until the peer ends the stream; raises ``AioRpcError`` when it breaks."""
        self._cancelled.clear()
        self._wake.set()
        writer = asyncio.create_task(self._write(stream), name="streamed calls writer")
        try:
            while (message := await stream.read()) is not grpc.aio.EOF:
                for result in message.results:
                    call = self._sent.pop(result.call_id, None)
                    if call is not None and not call.answer.done():
                        _give_answer(call.answer, result)
        finally:
            writer.cancel()
            (failure,) = await asyncio.gather(writer, return_exceptions=True)
        if isinstance(failure, Exception):
            raise failure

    async def _write(self, stream: Any) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._unsent or self._cancelled:
                message = self._next_message()
                try:
                    await stream.write(message)
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    return  # the stream broke, which shows itself to the reader
                except BaseException:
                    stream.cancel()
                    raise

    def _next_message(self) -> Any:
        message = self._calls_type()
        message.cancellations.extend(self._cancelled)
        self._cancelled.clear()
        size = 0
        while self._unsent and size < MESSAGE_BYTES:
            number, call = next(iter(self._unsent.items()))
            del self._unsent[number]
            self._sent[number] = call
            message.calls.add(call_id=number, request=call.request)
            size += call.request.ByteSize()
            call.request = None
        return message

    def _fail_sent(self, reason: str) -> None:
        text = f"the answer was lost and whether the call took effect is not known: {reason}"
        sent, self._sent = self._sent, {}
        for call in sent.values():
            if not call.answer.done():
                call.answer.set_exception(CallFailed("UNAVAILABLE", text))

    def _give_back(self) -> None:
        unsent, self._unsent = self._unsent, {}
        for call in unsent.values():
            if not call.answer.done():
                call.answer.set_exception(StreamUnserved("the peer does not serve the stream"))


def _give_answer(answer: asyncio.Future[Any], result: Any) -> None:
    if result.WhichOneof("outcome") == "response":
        answer.set_result(result.response)
    else:
        answer.set_exception(CallFailed(code_name(result.status.code), result.status.message))


def code_name(number: int) -> str:
    """Return the name of a gRPC code, ``UNKNOWN`` for a number that is none or that would mean success."""
    for code in grpc.StatusCode:
        if code.value[0] == number and number:
            return code.name
    return grpc.StatusCode.UNKNOWN.name


class _Writer(Protocol):
    async def write(self, message: Any) -> None: ...


async def answer_calls(
    requests: AsyncIterable[Any],
    peer: _Writer,
    results_type: Callable[[], Any],
    handle: Callable[[Any], Awaitable[Any]],
    status_of: Callable[[Exception], status_pb2.Status],
    ending: asyncio.Event | None = None,
) -> None:
    """Answer the calls of a stream until the peer ends it; calls that run then are cancelled.

    Args:
        ending: Once it is set, no call is taken any more, and the stream ends when those that run are answered.
        results_type: Message class with ``results`` (``call_id``, ``response`` or ``status``).
        handle: Executes one request.
        status_of: What a failure of ``handle`` is told as.

    Raises:
        CallNumberTaken: the peer used a number twice.
    """
    answers = _Answers(peer, results_type, handle, status_of)
    await peer.write(results_type())
    reader = asyncio.create_task(answers.read(requests), name="streamed calls reader")
    writer = asyncio.create_task(answers.write(), name="streamed results writer")
    stop = asyncio.create_task(_asked(ending), name="streamed calls ending")
    try:
        await asyncio.wait((reader, stop), return_when=asyncio.FIRST_COMPLETED)
        if reader.done():
            reader.result()
        else:
            await answers.answered()
            await writer
    finally:
        for task in (reader, writer, stop):
            task.cancel()
        await answers.end()
        await asyncio.gather(reader, writer, stop, return_exceptions=True)


async def _asked(ending: asyncio.Event | None) -> None:
    await (ending or asyncio.Event()).wait()


class CallNumberTaken(GestaltError):
    """Report that a ``call_id`` was used again before its call was answered."""

    def __init__(self, number: int) -> None:
        super().__init__(f"call_id {number} is in use; each call on a stream needs a number of its own")


class _Answers:
    def __init__(
        self,
        peer: _Writer,
        results_type: Callable[[], Any],
        handle: Callable[[Any], Awaitable[Any]],
        status_of: Callable[[Exception], status_pb2.Status],
    ) -> None:
        self._peer = peer
        self._results_type = results_type
        self._handle = handle
        self._status_of = status_of
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._cancelled: set[asyncio.Task[None]] = set()
        self._ready: list[tuple[int, Any, status_pb2.Status | None]] = []
        self._wake = asyncio.Event()
        self._last = False

    async def read(self, requests: AsyncIterable[Any]) -> None:
        async for message in requests:
            for number in message.cancellations:
                self.cancel(number)
            for call in message.calls:
                self.begin(call.call_id, call.request)

    def begin(self, number: int, request: Any) -> None:
        if number in self._tasks:
            raise CallNumberTaken(number)
        self._tasks[number] = asyncio.create_task(self._execute(number, request), name=f"streamed call {number}")

    def cancel(self, number: int) -> None:
        task = self._tasks.pop(number, None)
        if task is not None:
            task.cancel()
            self._cancelled.add(task)
            task.add_done_callback(self._cancelled.discard)

    async def answered(self) -> None:
        """Wait for the calls that run; ``write`` returns when their answers are on their way."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._last = True
        self._wake.set()

    async def end(self) -> None:
        tasks = [*self._tasks.values(), *self._cancelled]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _execute(self, number: int, request: Any) -> None:
        try:
            response = await self._handle(request)
            size = response.ByteSize()
            if size > RESULT_LIMIT_BYTES:
                text = f"the result has {size} bytes; at most {RESULT_LIMIT_BYTES} can be returned"
                self._put(
                    number, None, status_pb2.Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message=text)
                )
            else:
                self._put(number, response, None)
        except Exception as error:
            self._put(number, None, self._status_of(error))

    def _put(self, number: int, response: Any, status: status_pb2.Status | None) -> None:
        if self._tasks.pop(number, None) is not None:
            self._ready.append((number, response, status))
            self._wake.set()

    async def write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._ready:
                await self._peer.write(self._next_message())
            if self._last:
                return

    def _next_message(self) -> Any:
        message, size, taken = self._results_type(), 0, 0
        for number, response, status in self._ready:
            result = message.results.add(call_id=number)
            part = response if status is None else status
            getattr(result, "response" if status is None else "status").CopyFrom(part)
            size += part.ByteSize()
            taken += 1
            if size >= MESSAGE_BYTES:
                break
        del self._ready[:taken]
        return message
