"""What a provider says of its health, and of what it serves."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from gestalt_host.supervisor.about import SERVICES
from gestalt_host.verification.frames import RECEIVED, SENT
from gestalt_host.verification.outcomes import Broken, NotOffered
from gestalt_host.verification.rules import LIFECYCLE, Rule, Stage, rule
from gestalt_host.verification.subject import ATTEMPTS, UNIMPLEMENTED, Answer, Subject, in_time
from gestalt_host.verification.subject import LIFECYCLE as LIFECYCLE_SERVICE
from gestalt_sdk.gen.v1 import runtime_pb2
from gestalt_sdk.serving.reflection import SERVICES as REFLECTION
from gestalt_sdk.transport.channels import LOST_STATUS

HEALTH = "grpc.health.v1.Health"


async def _health(subject: Subject) -> runtime_pb2.HealthCheckResponse:
    async def attempt() -> Answer | None:
        answer = await subject.call(
            LIFECYCLE_SERVICE,
            "HealthCheck",
            Empty(),
            answers=runtime_pb2.HealthCheckResponse,
            timeout_s=subject.patience.health_s,
        )
        return None if answer.code is grpc.StatusCode.DEADLINE_EXCEEDED else answer

    answer = await in_time(attempt)
    if answer is None:
        raise Broken(f"HealthCheck to be answered within {subject.patience.health_s:g} s", "no answer")
    if answer.code is UNIMPLEMENTED:
        raise NotOffered("HealthCheck")
    return answer.read(runtime_pb2.HealthCheckResponse)


@rule("contract.md 1.3/health-before", "HealthCheck is no error before it is configured", kinds=LIFECYCLE)
async def health_before(subject: Subject) -> None:
    await subject.launch()
    await _health(subject)


@rule("contract.md 1.3/health", "HealthCheck says that it is ready", kinds=LIFECYCLE, needs=Stage.CONFIGURED)
async def health(subject: Subject) -> None:
    await subject.launch()
    await subject.require_configured()
    found = await _health(subject)
    if not found.ready:
        raise Broken("ready", f"not ready: {found.message}")


@rule("contract.md 2.3/grpc-health", "The health service of gRPC says SERVING", needs=Stage.CONFIGURED)
async def grpc_health(subject: Subject) -> None:
    await subject.launch()
    await subject.require_configured()
    answer = await subject.call(
        HEALTH, "Check", health_pb2.HealthCheckRequest(), answers=health_pb2.HealthCheckResponse
    )
    if answer.code is UNIMPLEMENTED:
        raise NotOffered(HEALTH)
    status = answer.read(health_pb2.HealthCheckResponse).status
    if status != health_pb2.HealthCheckResponse.SERVING:
        raise Broken("SERVING", health_pb2.HealthCheckResponse.ServingStatus.Name(status))


@rule("contract.md 2.3/reflection", "Server reflection lists the services of its kind", needs=Stage.CONFIGURED)
async def reflection(subject: Subject) -> None:
    await subject.launch()
    await subject.require_configured()
    listed = await _listed(subject)
    missing = [name for name in SERVICES[subject.word] if name not in listed]
    if missing:
        raise Broken(f"{', '.join(missing)} to be listed", ", ".join(listed) or "nothing is")


async def _listed(subject: Subject) -> list[str]:
    async def requests() -> AsyncIterator[bytes]:
        yield reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()

    for service in [service for service in REFLECTION for _ in range(ATTEMPTS)]:
        subject.frames.note(SENT, service, "list_services")
        call = subject.channel.stream_stream(f"/{service}/ServerReflectionInfo")
        try:
            async for body in call(requests(), timeout=subject.patience.call_s):
                found = Answer(service, grpc.StatusCode.OK, "", body).read(reflection_pb2.ServerReflectionResponse)
                subject.frames.note(RECEIVED, service, found)
                return [item.name for item in found.list_services_response.service]
            raise Broken("the services to be listed", "no answer")
        except grpc.aio.AioRpcError as error:
            subject.frames.note(RECEIVED, service, error.code().name)
            # Of a stream that is refused while the client writes, its library may lose the status.
            if error.code() is not UNIMPLEMENTED and error.details() != LOST_STATUS:
                raise Broken("the services to be listed", error.code().name) from error
    raise NotOffered("server reflection")


RULES: tuple[Rule, ...] = (health_before, health, grpc_health, reflection)
