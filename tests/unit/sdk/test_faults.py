"""Every error that this package raises on purpose has a status for providers that pass it on."""

from __future__ import annotations

import importlib
import pkgutil

import gestalt_sdk
from gestalt_sdk.agent.provider import FAULTS as AGENT_FAULTS
from gestalt_sdk.client_faults import CLIENT_FAULTS
from gestalt_sdk.errors import GestaltError
from gestalt_sdk.transport.faults import fault_of

LOCAL = {"ParameterInvalid", "OperationError", "SubjectRejected", "DeclarationInvalid", "TargetUnusable"}
"""Never leave the process as a gRPC status: operations answer with their result, the others end a start."""


def subclasses(cls: type[GestaltError]) -> list[type[GestaltError]]:
    return [each for direct in cls.__subclasses__() for each in (direct, *subclasses(direct))]


def test_every_error_has_a_row() -> None:
    for module in pkgutil.walk_packages(gestalt_sdk.__path__, "gestalt_sdk."):
        if ".gen" not in module.name:
            importlib.import_module(module.name)
    table = {**CLIENT_FAULTS, **AGENT_FAULTS}
    own = [cls for cls in subclasses(GestaltError) if cls.__module__.startswith("gestalt_sdk.")]
    assert len(own) > 10
    missing = [cls.__name__ for cls in own if cls.__name__ not in LOCAL and fault_of(cls.__new__(cls), table) is None]
    assert missing == []
