"""Write Gestalt providers: what their author imports.

Owns the contract's process rules (sockets, lifecycle, signals), typed clients for the services a provider dials, and
the conversion between protobuf values and Python's own. Knows nothing about the host.
"""

import os
from typing import TYPE_CHECKING

from gestalt_sdk._lazy import lazy_names

# A process that spawns children while gRPC calls are in flight loses them to SIGSEGV with the fork handlers on; the
# variable is read when grpc is first imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

if TYPE_CHECKING:
    from gestalt_sdk.agent.provider import AgentProvider as AgentProvider
    from gestalt_sdk.bases.provider import Provider as Provider
    from gestalt_sdk.bases.provider import ProviderKind as ProviderKind
    from gestalt_sdk.client_faults import CLIENT_FAULTS as CLIENT_FAULTS
    from gestalt_sdk.errors import GestaltError as GestaltError
    from gestalt_sdk.errors import ServiceRefused as ServiceRefused
    from gestalt_sdk.errors import ServiceUnavailable as ServiceUnavailable
    from gestalt_sdk.indexeddb.client import IndexedDB as IndexedDB
    from gestalt_sdk.plugin.base import Plugin as Plugin
    from gestalt_sdk.plugin.operations import operation as operation
    from gestalt_sdk.plugin.request import Request as Request
    from gestalt_sdk.plugin.types import OperationError as OperationError
    from gestalt_sdk.plugin.types import Response as Response
    from gestalt_sdk.workflow.provider import WorkflowProvider as WorkflowProvider
else:
    __getattr__, __all__ = lazy_names(
        __name__,
        {
            "agent.provider": "AgentProvider",
            "bases.provider": "Provider ProviderKind",
            "client_faults": "CLIENT_FAULTS",
            "errors": "GestaltError ServiceRefused ServiceUnavailable",
            "indexeddb.client": "IndexedDB",
            "plugin.base": "Plugin",
            "plugin.operations": "operation",
            "plugin.request": "Request",
            "plugin.types": "OperationError Response",
            "workflow.provider": "WorkflowProvider",
        },
    )
