"""`gestaltd provider call`: one call to a socket of a running host, with JSON for messages."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import re
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from gestalt_host.daemon.console import show
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.options import Options
from gestalt_host.daemon.provider.control_client import all_providers, control_of
from gestalt_host.daemon.provider.hosts import HOST_OPTION, Name, Provider, chosen, running_hosts
from gestalt_host.daemon.provider.json_messages import JsonSplitter, JsonText, printable_json_lines, read_message, shown
from gestalt_host.daemon.provider.reflection_client import OF_GRPC, Socket, bundled_services
from gestalt_host.daemon.provider.symbols import is_named, method_of, near, parted
from gestalt_host.supervisor.about import HOST, SocketAbout
from gestalt_sdk.serving.streams import tell

HELP = f"""\
Call a method of a provider, or of a host service as that provider would, on a host that runs on this machine. Messages
are JSON; what they are like is asked of the server (`gestaltd provider describe`).

Usage:
  gestaltd provider call NAME SERVICE/METHOD [-d JSON|@|@FILE] [-H 'NAME: VALUE']... [--socket PATH|VARIABLE]
                         [--timeout S] [--max-messages N] [--host PID|URL|CONFIG]

NAME is that of a provider, KIND/NAME where it is not unique, or host. SERVICE may be short (IntegrationProvider). It is
looked for on the provider's own socket, then on those of host services that it was given, then on its part of a store.
An invocation_token that is empty is filled for host services of a plugin.

Options:
  -d, --data JSON        The message, or several behind one another where the method takes a stream; @ reads them from
                         standard input and sends each one as it comes, @FILE from a file. Without it {{}}, or no
                         message of a stream.
  -H, --header NAME: VALUE
                         Metadata of the call, repeatable; in Base64 for a name that ends in -bin.
  --socket PATH|VARIABLE
                         The socket to call, by path, file name, or the variable that tells the provider its path.
  --timeout S            End the call after so many seconds (DEADLINE_EXCEEDED).
  --max-messages N       End a stream of answers after so many.
{HOST_OPTION}
  -h, --help             This text.

Each answer is printed as JSON when it comes. A call that fails is told on standard error, with its code, message and
details, and ends with exit status 1.
"""
TOKEN_FIELD = "invocation_token"
READ_BYTES = 64 * 1024
LONGEST_TIMEOUT_S = 31_536_000
"""A year. gRPC counts in nanoseconds: what goes beyond their range has passed already."""
QUEUE = 16
"""Parts of standard input that were read and wait to be sent."""
_METADATA_NAME = re.compile(r"[0-9a-z_.-]+")
_DETAILS = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for on the command line."""

    name: Name
    service: str
    method: str
    data: str | None
    metadata: tuple[tuple[str, str | bytes], ...]
    socket: str
    host: str
    timeout_s: float | None
    most: int | None

    @classmethod
    def of(cls, options: Options) -> Request:
        """
        Raises:
            CommandFailed: an option has a value that cannot be.
        """
        service, method = parted(options.arguments[1])
        data = [*options.all("d"), *options.all("data")]
        if len(data) > 1:
            raise CommandFailed("-d was given twice; several messages of a stream go into one, behind one another")
        return cls(
            name=Name.of(options.arguments[0]),
            service=service,
            method=method,
            data=data[0] if data else None,
            metadata=tuple(_metadata(text) for text in (*options.all("H"), *options.all("header"))),
            socket=options.last("socket"),
            host=options.last("host"),
            timeout_s=_positive(options.last("timeout"), "--timeout"),
            most=None if not options.last("max-messages") else _count(options.last("max-messages")),
        )


def run(options: Options, environ: Mapping[str, str]) -> None:
    """Make the call and print what it answers.

    Raises:
        CommandFailed: nothing can be called, the message does not fit, or the call failed.
    """
    request = Request.of(options)
    asyncio.run(make(request))


async def make(request: Request) -> None:
    """Make the call and print what it answers; raises as ``run`` does."""
    host, provider = chosen(request.name, await all_providers(running_hosts(request.host)))
    async with AsyncExitStack() as stack:
        sockets = [Socket(item) for item in candidates(provider, request.socket)]
        for item in sockets:
            stack.push_async_callback(item.close)
        socket, service = await _serving(sockets, provider, request.service)
        pool = await socket.pool_with(service)
        try:
            method = method_of(pool.FindServiceByName(service), request.method)
        except KeyError as error:
            raise CommandFailed(
                f"{provider.shown} serves {service}, but neither its reflection nor this program can describe it"
            ) from error
        token = ""
        if socket.about.served_by == HOST and provider.kind == "plugin" and _takes_token(method):
            async with control_of(host) as control:
                token = await control.token(provider.name)
        await _Call(request, socket, method, pool, token).run()


def candidates(provider: Provider, wanted: str) -> Sequence[SocketAbout]:
    """Return the sockets that a service of the provider may be on; with ``wanted`` the one that ``--socket`` means.

    Raises:
        CommandFailed: it has none, or none of that name.
    """
    if not provider.sockets:
        raise CommandFailed(f"{provider.shown} has no socket: {provider.reason}")
    found = [item for item in provider.sockets if wanted in ("", item.path, item.variable, Path(item.path).name)]
    if not found and "/" in wanted:
        return [SocketAbout(str(Path(wanted).absolute()))]
    if not found:
        known = ", ".join(item.variable or Path(item.path).name for item in provider.sockets) or "none"
        raise CommandFailed(f'{provider.shown} has no socket "{wanted}"; it has {known}')
    return found


async def _serving(sockets: Sequence[Socket], provider: Provider, service: str) -> tuple[Socket, str]:
    """Return the first socket that has the service, and the service's full name.

    Health and reflection are always those of the first one: another socket has them too, and the host's answer in place
    of a provider's would say that a provider is well which hangs. Where the first one does not say what it has, and no
    other has the service, it is called nevertheless.
    """
    served = await asyncio.gather(*(socket.services() for socket in sockets))
    served = [served[0], *([name for name in names if not name.startswith(OF_GRPC)] for names in served[1:])]
    for socket, names in zip(sockets, served, strict=True):
        found = [name for name in names if is_named(name, service)]
        if len(found) > 1:
            raise CommandFailed(f'"{service}" may mean {" or ".join(found)}: say which')
        if found:
            return socket, found[0]
    if not sockets[0].has_reflection:
        found = [name for name in bundled_services() if is_named(name, service)]
        if len(found) == 1:
            return sockets[0], found[0]
    every = sorted({name for names in served for name in names})
    raise CommandFailed(
        f"{provider.shown} has no service {service}{near(service, every)}; there are {', '.join(every) or 'none'}"
    )


class _Call:
    def __init__(
        self,
        request: Request,
        socket: Socket,
        method: MethodDescriptor,
        pool: descriptor_pool.DescriptorPool,
        token: str,
    ) -> None:
        self._request, self._method, self._pool, self._token = request, method, pool, token
        self._input = message_factory.GetMessageClass(method.input_type)
        output = message_factory.GetMessageClass(method.output_type)
        kind = ("stream_" if method.client_streaming else "unary_") + ("stream" if method.server_streaming else "unary")
        self._callable = getattr(socket.channel, kind)(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=self._input.SerializeToString,
            response_deserializer=output.FromString,
        )
        self._said_token = False
        self._refused: CommandFailed | None = None

    async def run(self) -> None:
        """Send, and print each answer as it comes."""
        request = self._request
        sent: Message | AsyncIterator[Message] = self._sent() if self._method.client_streaming else await self._one()
        call = self._callable(sent, timeout=request.timeout_s, metadata=request.metadata or None)
        try:
            if self._method.server_streaming:
                count = 0
                async for answer in call:
                    show(shown(answer, self._pool))
                    count += 1
                    if count == request.most:
                        call.cancel()
                        break
            else:
                show(shown(await call, self._pool))
        except grpc.aio.AioRpcError as error:
            if self._refused is not None:
                raise self._refused from error
            raise CommandFailed(self._told(error)) from error
        except asyncio.CancelledError:
            if self._refused is not None:
                raise self._refused from None
            raise

    def _told(self, error: grpc.aio.AioRpcError) -> str:
        """Return code, message and details of a failed call, the details as JSON, one after another."""
        name = f"{self._method.containing_service.name}/{self._method.name}"
        lines = [f"{name}: {error.code().name}: {error.details() or 'no message'}"]
        for key, value in error.trailing_metadata() or ():
            if key == _DETAILS and isinstance(value, bytes):
                lines += _details(value, self._pool)
        return "\n".join(lines)

    async def _one(self) -> Message:
        messages = [message async for message in self._messages()]
        if len(messages) > 1:
            raise CommandFailed(f"{self._method.full_name} takes one message; {len(messages)} were given")
        return messages[0] if messages else self._filled(self._input())

    async def _sent(self) -> AsyncIterator[Message]:
        try:
            async for message in self._messages():
                yield message
        except CommandFailed as error:
            self._refused = error  # the call ends with an error of gRPC's own
            raise

    async def _messages(self) -> AsyncIterator[Message]:
        async for text in _texts(self._request.data):
            yield self._filled(read_message(text, self._input, self._pool))

    def _filled(self, message: Message) -> Message:
        if self._token and not getattr(message, TOKEN_FIELD):
            setattr(message, TOKEN_FIELD, self._token)
            if not self._said_token:
                tell(f"{TOKEN_FIELD} was empty and is filled with one of the host's, which logs it")
            self._said_token = True
        return message


async def _texts(data: str | None) -> AsyncIterator[JsonText]:
    """Yield the JSON values that ``-d`` means."""
    splitter = JsonSplitter()
    if data == "@":
        async for part in _standard_input():
            for text in splitter.feed(part):
                yield text
    elif data is not None:
        for text in splitter.feed(_file(data[1:]) if data.startswith("@") else data.encode(errors="surrogateescape")):
            yield text
    for text in splitter.finish():
        yield text


async def _standard_input() -> AsyncIterator[bytes]:
    """Yield what can be read, as soon as it can; a file, a pipe and a terminal are all read by a thread."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    places = threading.Semaphore(QUEUE)

    def read() -> None:
        with suppress(RuntimeError):  # the call has ended, and with it the loop
            while True:
                try:
                    part = os.read(sys.stdin.fileno() if sys.stdin is not None else -1, READ_BYTES)
                except OSError:
                    part = b""
                places.acquire()
                loop.call_soon_threadsafe(queue.put_nowait, part)
                if not part:
                    return

    threading.Thread(target=read, name="standard input", daemon=True).start()
    while part := await queue.get():
        yield part
        places.release()


def _file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CommandFailed(f"-d @{path} cannot be read: {error.strerror or error}") from error


def _takes_token(method: MethodDescriptor) -> bool:
    field: FieldDescriptor | None = method.input_type.fields_by_name.get(TOKEN_FIELD)
    return field is not None and field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated


def _details(data: bytes, pool: descriptor_pool.DescriptorPool) -> Iterator[str]:
    # Its types of details are known by being imported.
    assert error_details_pb2.DESCRIPTOR is not None
    try:
        status = status_pb2.Status.FromString(data)
    except DecodeError:
        return
    for detail in status.details:
        found: object = {"@type": detail.type_url, "value": base64.b64encode(detail.value).decode()}
        for known in (descriptor_pool.Default(), pool):
            with suppress(TypeError, json_format.Error, DecodeError):
                found = json_format.MessageToDict(detail, descriptor_pool=known)
                break
        yield printable_json_lines(json.dumps(found, indent=2, ensure_ascii=False))


def _metadata(text: str) -> tuple[str, str | bytes]:
    name, colon, value = text.partition(":")
    name, value = name.strip().lower(), value.strip()
    if not colon or not _METADATA_NAME.fullmatch(name) or name.startswith("grpc-"):
        raise CommandFailed(f"-H {text!r} is no metadata: 'NAME: VALUE' is, with a name that gRPC does not keep")
    if not name.endswith("-bin"):
        if not (value.isascii() and value.isprintable()):
            raise CommandFailed(f"-H {name}: the value is no printable ASCII; a name that ends in -bin takes Base64")
        return name, value
    try:
        return name, base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise CommandFailed(f"-H {name}: the value is no Base64: {error}") from error


def _positive(text: str, option: str) -> float | None:
    if not text:
        return None
    with suppress(ValueError):
        seconds = float(text)
        if 0 < seconds <= LONGEST_TIMEOUT_S:
            return seconds
    raise CommandFailed(f'{option} is "{text}"; it takes a number of seconds above 0, at most {LONGEST_TIMEOUT_S}')


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise CommandFailed(f'--max-messages is "{text}"; it takes a number from 1 on')
    return int(text)
