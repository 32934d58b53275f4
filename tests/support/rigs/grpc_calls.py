"""What any gRPC tool asks a socket: which services are there, and are they healthy?"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

TIMEOUT_S = 10.0
SERVING = health_pb2.HealthCheckResponse.SERVING


def services(socket: Path) -> set[str]:
    """Full names of the services that reflection lists."""
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        (answer,) = stub.ServerReflectionInfo(iter([request]), timeout=TIMEOUT_S)
        return {service.name for service in answer.list_services_response.service}


def described(socket: Path, service: str) -> bool:
    """Whether reflection hands out the file that declares the service."""
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=service)
        (answer,) = stub.ServerReflectionInfo(iter([request]), timeout=TIMEOUT_S)
        return bool(answer.file_descriptor_response.file_descriptor_proto)


def serving(socket: Path, service: str = "") -> bool:
    """Whether the standard health service reports the service, or the whole server, as serving."""
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_S)
        return bool(answer.status == SERVING)
