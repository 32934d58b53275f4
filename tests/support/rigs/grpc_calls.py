"""What any gRPC tool asks a socket: which services are there, and are they healthy?"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

TIMEOUT_S = 10.0
OPTIONS = (("grpc.default_authority", "localhost"),)
"""A path is no authority to every library (contract.md 2.3)."""
SERVING = health_pb2.HealthCheckResponse.SERVING


def reflected(
    socket: Path, *requests: reflection_pb2.ServerReflectionRequest, version: str = "v1"
) -> list[reflection_pb2.ServerReflectionResponse]:
    """Ask the reflection service of a version on one stream; return its answers, one for each request.

    The messages of both versions are the same on the wire.
    """
    with grpc.insecure_channel(f"unix:{socket}", OPTIONS) as channel:
        ask = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        return list(ask(iter(requests), timeout=TIMEOUT_S))


def services(socket: Path, *, version: str = "v1") -> set[str]:
    """Full names of the services that reflection lists."""
    (answer,) = reflected(socket, reflection_pb2.ServerReflectionRequest(list_services=""), version=version)
    return {service.name for service in answer.list_services_response.service}


def described(socket: Path, symbol: str, *, version: str = "v1") -> bool:
    """Whether reflection hands out the file that declares the symbol."""
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
    (answer,) = reflected(socket, request, version=version)
    return bool(answer.file_descriptor_response.file_descriptor_proto)


def serving(socket: Path, service: str = "", timeout_s: float = TIMEOUT_S) -> bool:
    """Whether the standard health service reports the service, or the whole server, as serving."""
    with grpc.insecure_channel(f"unix:{socket}", OPTIONS) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout_s)
        return bool(answer.status == SERVING)
