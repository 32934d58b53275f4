"""What arrives that nobody has agreed on: unknown, malformed and large messages, and calls that are given up."""

from __future__ import annotations

import asyncio

import grpc

from gestalt_host.verification.outcomes import Broken
from gestalt_host.verification.rules import Rule, Stage, rule
from gestalt_host.verification.services import NO_MESSAGE, NOT_BYTES_OF_HTTP2
from gestalt_host.verification.subject import LIFECYCLE, PLUGIN, UNIMPLEMENTED, Answer, Subject

MIB = 1024 * 1024
LARGE_BYTES = 4 * MIB - 64 * 1024
"""Every library takes messages up to 4 MiB when nothing else is set."""
OVERSIZED_BYTES = 65 * MIB
_UNKNOWN_FIELD = 100_001
_LENGTH_DELIMITED = 2
ABANDONED = 100
CONNECTIONS = 50
METADATA = (
    ("x-request-id", "verification-1"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("tracestate", "vendor=value"),
    ("baggage", "key=value"),
    ("x-nobody-knows", "value"),
)
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NOISE = (b"\0" * 64, NOT_BYTES_OF_HTTP2, b"GET / HTTP/1.1\r\n\r\n", _PREFACE + b"\xff" * 999, _PREFACE)


def unknown_field(size: int) -> bytes:
    """Return a field that no message has, of so many bytes of content."""
    return _varint(_UNKNOWN_FIELD << 3 | _LENGTH_DELIMITED) + _varint(size) + b"x" * size


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*digits, number))


def _first_call(subject: Subject) -> tuple[str, str]:
    return (PLUGIN, "GetMetadata") if subject.is_plugin else (LIFECYCLE, "GetProviderIdentity")


def _configuring(subject: Subject) -> tuple[str, str]:
    return (PLUGIN, "StartProvider") if subject.is_plugin else (LIFECYCLE, "ConfigureProvider")


def _require_answered(subject: Subject, answer: Answer, expected: str) -> None:
    """Refuse an error, but for a plugin that does not have the method."""
    if not (answer.is_ok or (subject.is_plugin and answer.code is UNIMPLEMENTED)):
        raise Broken(expected, str(answer))


@rule("contract.md 2.3/unknown-method", "Methods and services that it does not have are UNIMPLEMENTED")
async def unknown_method(subject: Subject) -> None:
    await subject.launch()
    own = _first_call(subject)[0]
    for service in (own, "gestalt.provider.v1.NoSuchService", "NoSuchService"):
        answer = await subject.call(service, "NoSuchMethod", b"")
        if answer.code is not UNIMPLEMENTED:
            raise Broken(f"UNIMPLEMENTED for {service}/NoSuchMethod", str(answer))
    await subject.require_answering("after calls of methods that it does not have")


@rule("contract.md 2.3/undecodable", "Bytes that are no message are refused, and the next call is answered")
async def undecodable(subject: Subject) -> None:
    await subject.launch()
    answer = await subject.call(*_configuring(subject), NO_MESSAGE)
    if answer.is_ok:
        raise Broken("an error for a request that is no message", str(answer))
    await subject.require_answering("after a request that is no message")


@rule(
    "contract.md 3/unknown-fields",
    "Fields that it does not know are left alone, also in its configuration",
    needs=Stage.CONFIGURED,
)
async def unknown_fields(subject: Subject) -> None:
    await subject.launch()
    answer = await subject.configure(unknown=unknown_field(16))
    _require_answered(subject, answer, "a configuration with an unknown field to be accepted")


@rule("contract.md 2.3/large", "A request of almost 4 MiB is answered")
async def large(subject: Subject) -> None:
    await subject.launch()
    answer = await subject.call(*_first_call(subject), unknown_field(LARGE_BYTES))
    _require_answered(subject, answer, f"a request of {LARGE_BYTES} bytes to be answered")


TOO_LARGE = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.OUT_OF_RANGE)
"""What libraries say of a request that is larger than they take; the second is tonic's, in Rust."""


@rule("contract.md 2.3/oversized", "A request of 65 MiB ends with RESOURCE_EXHAUSTED, and the next call is answered")
async def oversized(subject: Subject) -> None:
    await subject.launch()
    answer = await subject.call(*_first_call(subject), unknown_field(OVERSIZED_BYTES))
    if answer.code not in TOO_LARGE:
        raise Broken(f"RESOURCE_EXHAUSTED for a request of {OVERSIZED_BYTES} bytes", str(answer))
    await subject.require_answering("after a request that is too large")


@rule("contract.md 2.6/metadata", "Metadata for tracing, and such as it does not know, is tolerated")
async def metadata(subject: Subject) -> None:
    await subject.launch()
    answer = await subject.ask(metadata=METADATA)
    _require_answered(subject, answer, "a call with metadata to be answered")


@rule("contract.md 2.4/signs-of-life", "Noise and idle connections on its socket keep it from greeting nobody")
async def signs_of_life(subject: Subject) -> None:
    await subject.launch()
    idle = []
    try:
        for _ in range(CONNECTIONS):
            idle.append(await subject.connect())
        for data in NOISE:
            await subject.send_bytes(data)
        if not await subject.greets():
            raise Broken(f"a new connection to be greeted within {subject.patience.greet_s:g} s", "it is not")
        await subject.require_answering("after noise on its socket")
    finally:
        for writer in idle:
            writer.close()


@rule("contract.md 1.4/given-up", "Calls that are given up keep it from answering nobody", needs=Stage.CONFIGURED)
async def given_up(subject: Subject) -> None:
    await subject.launch()
    await subject.require_configured()
    service, method = _first_call(subject)
    path = f"/{service}/{method}"
    calls = [subject.channel.unary_unary(path)(b"", timeout=0.001 * index) for index in range(ABANDONED)]
    for call in calls[::2]:
        call.cancel()
    await asyncio.gather(*(_outcome(call) for call in calls))
    await subject.require_answering("after calls that were given up")


async def _outcome(call: grpc.aio.UnaryUnaryCall) -> None:
    await call.code()


RULES: tuple[Rule, ...] = (
    unknown_method,
    undecodable,
    unknown_fields,
    large,
    oversized,
    metadata,
    signs_of_life,
    given_up,
)
