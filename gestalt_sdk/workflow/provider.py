"""Write a workflow provider: a ``WorkflowProvider`` with a servicer of the contract's WorkflowProvider service.

    class Mine(WorkflowProvider):
        def servicer(self):
            return MyServicer(self)          # subclasses WorkflowProviderServicer, gets raw messages

``start`` begins background work, ``drain`` ends it; ``workflow_host`` invokes what is due.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import grpc

from gestalt_sdk.bases.provider import Provider, ProviderKind
from gestalt_sdk.gen.v1 import workflow_pb2_grpc
from gestalt_sdk.transport.environment import WORKFLOW_HOST_SOCKET
from gestalt_sdk.transport.unimplemented import unimplemented_by_default
from gestalt_sdk.workflow.clients import WorkflowHostClient

SERVICE = "gestalt.provider.v1.WorkflowProvider"


@unimplemented_by_default
class WorkflowProviderServicer(workflow_pb2_grpc.WorkflowProviderServicer):
    """Answer the contract's calls: subclass it. Those that are not overridden answer UNIMPLEMENTED."""


class WorkflowProvider(Provider):
    """Keep and execute workflows; override ``register`` to serve extensions beside the contract's service."""

    kind: ClassVar[ProviderKind] = ProviderKind.WORKFLOW

    def servicer(self) -> WorkflowProviderServicer:
        """Return the service; asked for once, before ``configure``."""
        raise NotImplementedError

    def register(self, server: grpc.aio.Server) -> Sequence[str]:
        """Add the servicer; return the name of its service."""
        workflow_pb2_grpc.add_WorkflowProviderServicer_to_server(self.servicer(), server)
        return [SERVICE]

    def workflow_host(self) -> WorkflowHostClient:
        """Return a client over the process's own channel to the host; close it when its work has ended.

        Raises:
            EnvironmentUnusable: the host does not give this process the service.
        """
        return WorkflowHostClient(self.host_channels.channel(WORKFLOW_HOST_SOCKET))
