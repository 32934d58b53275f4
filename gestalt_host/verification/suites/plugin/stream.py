"""Many operations on one stream (proto/extension/v1/plugin_dispatch.proto), which a plugin need not have."""

from __future__ import annotations

import asyncio

import grpc

from gestalt_host.verification.frames import RECEIVED, SENT
from gestalt_host.verification.outcomes import Broken, NotOffered
from gestalt_host.verification.rules import Rule, Stage, rule
from gestalt_host.verification.services import NO_MESSAGE
from gestalt_host.verification.subject import UNIMPLEMENTED, Answer, Subject
from gestalt_host.verification.suites.plugin.calls import UNKNOWN_OPERATION, require_refused
from gestalt_host.verification.suites.plugin.catalogues import PLUGINS
from gestalt_sdk.gen.extension.v1 import plugin_dispatch_pb2 as pb
from gestalt_sdk.gen.v1 import plugin_pb2

DISPATCH = "gestalt.extension.v1.PluginDispatch"
METHOD = "PluginDispatch.Dispatch"
CALLS = 20


class _Stream:
    """One open stream of calls."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._call = subject.channel.stream_stream(f"/{DISPATCH}/Dispatch")()

    async def send(self, message: pb.PluginCalls | bytes) -> None:
        self._subject.frames.note(SENT, METHOD, message)
        await self._call.write(message if isinstance(message, bytes) else message.SerializeToString())

    async def receive(self) -> pb.PluginResults:
        """Return the next message.

        Raises:
            NotOffered: the plugin has no such stream.
            Broken: there is none in time, or it is another.
        """
        limit_s = self._subject.patience.call_s
        try:
            async with asyncio.timeout(limit_s):
                body = await self._call.read()
        except TimeoutError:
            raise Broken(f"a message on the stream within {limit_s:g} s", "none came") from None
        except grpc.aio.AioRpcError as error:
            if error.code() is UNIMPLEMENTED:
                raise NotOffered(DISPATCH) from None
            raise Broken("a message on the stream", error.code().name) from error
        if body is grpc.aio.EOF:
            raise Broken("a message on the stream", "its end")
        found = Answer(METHOD, grpc.StatusCode.OK, "", body).read(pb.PluginResults)
        self._subject.frames.note(RECEIVED, METHOD, found)
        return found

    async def ending(self) -> grpc.StatusCode:
        """Wait for the end that the plugin makes; return its status."""
        limit_s = self._subject.patience.call_s
        try:
            async with asyncio.timeout(limit_s):
                code: grpc.StatusCode = await self._call.code()
        except TimeoutError:
            raise Broken(f"the stream to end within {limit_s:g} s", "it is open") from None
        self._subject.frames.note(RECEIVED, METHOD, code.name)
        return code


async def _opened(subject: Subject) -> _Stream:
    """Open a stream on a configured plugin, and take the message that it begins with."""
    await subject.launch()
    await subject.require_configured()
    stream = _Stream(subject)
    first = await stream.receive()
    if first.results:
        raise Broken("a first message without results", f"{len(first.results)} results")
    return stream


def _unknown(number: int) -> pb.PluginCall:
    return pb.PluginCall(call_id=number, request=plugin_pb2.ExecuteRequest(operation=UNKNOWN_OPERATION))


@rule(
    "contract.md 4.5/stream",
    "Calls on the stream are each answered once, as Execute answers them",
    kinds=PLUGINS,
    needs=Stage.CONFIGURED,
)
async def stream(subject: Subject) -> None:
    opened = await _opened(subject)
    await opened.send(pb.PluginCalls(cancellations=[CALLS + 1]))
    await opened.send(pb.PluginCalls(calls=[_unknown(number) for number in range(1, CALLS + 1)]))
    left = set(range(1, CALLS + 1))
    while left:
        for result in (await opened.receive()).results:
            if result.call_id not in left:
                raise Broken("an answer to each call, once", f"another one to call_id {result.call_id}")
            left.remove(result.call_id)
            outcome = result.response if result.HasField("response") else None
            code = grpc.StatusCode.OK if outcome is not None else _code(result.status.code)
            body = outcome.SerializeToString() if outcome is not None else b""
            require_refused(Answer(METHOD, code, result.status.message, body), "an unknown operation on the stream")


def _code(number: int) -> grpc.StatusCode:
    return next((code for code in grpc.StatusCode if code.value[0] == number), grpc.StatusCode.UNKNOWN)


@rule(
    "contract.md 4.5/stream-noise",
    "What is no message ends the stream with an error, and the plugin goes on answering",
    kinds=PLUGINS,
    needs=Stage.CONFIGURED,
)
async def stream_noise(subject: Subject) -> None:
    opened = await _opened(subject)
    await opened.send(NO_MESSAGE)
    if (code := await opened.ending()) is grpc.StatusCode.OK:
        raise Broken("the stream to end with an error", code.name)
    await subject.require_answering("after bytes on the stream that are no message")


RULES: tuple[Rule, ...] = (stream, stream_noise)
