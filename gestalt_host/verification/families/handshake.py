"""The first calls: that it serves, what it says it is, and which version of the protocol it speaks."""

from __future__ import annotations

import grpc

from gestalt_host.verification.outcomes import Broken, NotOffered
from gestalt_host.verification.rules import LIFECYCLE, Rule, Stage, rule
from gestalt_host.verification.subject import PROTOCOL_VERSION, UNIMPLEMENTED, Subject
from gestalt_sdk.bases.provider import ProviderKind
from gestalt_sdk.gen.v1 import plugin_pb2, runtime_pb2

OTHER_VERSIONS = (PROTOCOL_VERSION - 1, PROTOCOL_VERSION + 1)


@rule("contract.md 2.4/serves", "It serves HTTP/2 on its socket within 45 s of its start", needs=Stage.NOTHING)
async def serves(subject: Subject) -> None:
    """Nothing can be said of a provider that breaks this one."""
    await subject.launch()


@rule("contract.md 1.3/answers", "It answers the first call of its host", needs=Stage.SERVED)
async def answers(subject: Subject) -> None:
    """Nothing that needs an answer can be said of a provider that breaks this one."""
    await subject.launch()
    await subject.require_first_answer()


@rule("contract.md 1.3/kind", "Its identity names the kind that it is used as", kinds=LIFECYCLE)
async def kind(subject: Subject) -> None:
    await subject.launch()
    wanted = f"PROVIDER_KIND_{subject.kind.name}"
    found = (await subject.identity()).kind
    names = runtime_pb2.ProviderKind.DESCRIPTOR.values_by_number
    shown = names[found].name if found in names else str(found)
    if shown != wanted:
        raise Broken(f"kind {wanted}", shown)


@rule("contract.md 1.2/bounds", "Version 3 of the protocol is within the bounds that it names")
async def bounds(subject: Subject) -> None:
    await subject.launch()
    answer = await subject.ask()
    if subject.is_plugin and answer.code is UNIMPLEMENTED:
        raise NotOffered("GetMetadata")
    message: type[plugin_pb2.ProviderMetadata] | type[runtime_pb2.ProviderIdentity] = (
        plugin_pb2.ProviderMetadata if subject.is_plugin else runtime_pb2.ProviderIdentity
    )
    found = answer.read(message)
    low, high = found.min_protocol_version, found.max_protocol_version
    if low > PROTOCOL_VERSION or 0 < high < PROTOCOL_VERSION:
        raise Broken(f"bounds that include {PROTOCOL_VERSION}, where 0 is none", f"{low} to {high}")


@rule("contract.md 1.2/version", "It accepts its configuration, and answers with version 3 of the protocol")
async def version(subject: Subject) -> None:
    await subject.launch()
    answer = await subject.configure()
    if subject.is_plugin and answer.code is UNIMPLEMENTED:
        raise NotOffered("StartProvider")
    message: type[plugin_pb2.StartProviderResponse] | type[runtime_pb2.ConfigureProviderResponse] = (
        plugin_pb2.StartProviderResponse if subject.is_plugin else runtime_pb2.ConfigureProviderResponse
    )
    found = answer.read(message).protocol_version
    if found != PROTOCOL_VERSION:
        raise Broken(f"protocol_version {PROTOCOL_VERSION}", str(found))


@rule("contract.md 1.2/other-versions", "It refuses other versions of the protocol with FAILED_PRECONDITION")
async def other_versions(subject: Subject) -> None:
    await subject.launch()
    for number in OTHER_VERSIONS:
        answer = await subject.configure(version=number)
        if subject.is_plugin and answer.code is UNIMPLEMENTED:
            raise NotOffered("StartProvider")
        if answer.code is not grpc.StatusCode.FAILED_PRECONDITION:
            raise Broken(f"FAILED_PRECONDITION for protocol_version {number}", str(answer))
    await subject.require_answering("after versions that it does not speak")


@rule(
    "contract.md 1.3/identity-again",
    "Once configured it tells its identity again",
    kinds=LIFECYCLE,
    needs=Stage.CONFIGURED,
)
async def identity_again(subject: Subject) -> None:
    await subject.launch()
    before = await subject.identity()
    (await subject.configure()).require_ok()
    after = await subject.identity()
    if after.kind != before.kind:
        raise Broken("the same kind as before it was configured", str(after.kind))


@rule(
    "contract.md 1.3/start",
    "StartProvider answers with version 3, or is not there",
    kinds=(ProviderKind.WORKFLOW,),
    needs=Stage.CONFIGURED,
)
async def start(subject: Subject) -> None:
    await subject.launch()
    (await subject.configure()).require_ok()
    answer = await subject.start()
    if answer.code is UNIMPLEMENTED:
        raise NotOffered("StartProvider")
    found = answer.read(runtime_pb2.StartRuntimeProviderResponse).protocol_version
    if found != PROTOCOL_VERSION:
        raise Broken(f"protocol_version {PROTOCOL_VERSION}", str(found))


RULES: tuple[Rule, ...] = (serves, answers, kind, bounds, version, other_versions, identity_again, start)
