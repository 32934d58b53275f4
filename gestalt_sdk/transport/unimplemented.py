"""Answer calls that a provider does not offer; generated servicers raise instead, and grpc logs that as a bug."""

from __future__ import annotations

from types import FunctionType
from typing import TypeVar

import grpc

from gestalt_sdk.transport.channels import ServerContext
from gestalt_sdk.transport.faults import end_call

Servicer = TypeVar("Servicer", bound=type)


def unimplemented_by_default(servicer: Servicer) -> Servicer:
    """Have the generated methods that this class does not override answer UNIMPLEMENTED, naming the method."""
    for base in servicer.__mro__:
        if base.__module__.endswith("_pb2_grpc"):
            for name, method in vars(base).items():
                if isinstance(method, FunctionType) and getattr(servicer, name) is method:
                    setattr(servicer, name, _unimplemented(name))
    return servicer


def _unimplemented(name: str) -> object:
    async def refuse(self: object, request: object, context: ServerContext) -> None:
        await end_call(context, grpc.StatusCode.UNIMPLEMENTED, f"this provider does not offer {name}")

    return refuse
