"""Tell an operation of a plugin about its call, and bind the host's services to that call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gestalt_sdk.gen.v1 import plugin_pb2
from gestalt_sdk.transport.environment import PLUGIN_INVOKER_SOCKET, WORKFLOW_MANAGER_SOCKET
from gestalt_sdk.transport.host_channels import HostChannels
from gestalt_sdk.transport.values import from_struct, to_struct

if TYPE_CHECKING:
    from gestalt_sdk.workflow.clients import WorkflowManagerClient
    from gestalt_sdk.workflow.invoker import InvocationResult, PluginInvokerClient


@dataclass(frozen=True, slots=True)
class Subject:
    """Name who acts: ``id`` such as ``user:42`` or ``system:config``; ``kind`` user, service_account, system ..."""

    id: str = ""
    kind: str = ""
    display_name: str = ""
    auth_source: str = ""


@dataclass(frozen=True, slots=True)
class Credential:
    """Name the credential used; ``mode`` is none, user or platform."""

    mode: str = ""
    subject_id: str = ""
    connection: str = ""
    instance: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """Name the policy and the role by which the host admitted the call."""

    policy: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True)
class ExternalIdentity:
    """Name who somebody is in another system: ``type`` of the identity and its ``id`` there; both may be empty."""

    type: str = ""
    id: str = ""


class Request:
    """Describe one call of an operation (contract.md 4.5).

    Attributes:
        operation: Operation id.
        token: Access token of the credential; empty when none is needed.
        connection_params: Parameters of the connection.
        invocation_id: The host's id of the request; empty for calls of a workflow.
        invocation_token: Opaque; authorises calls of host services on behalf of this one, at most for 15 minutes.
        idempotency_key: The same for a repetition of the same call; may be empty.
    """

    def __init__(self, message: plugin_pb2.ExecuteRequest, channels: HostChannels) -> None:
        self._context = message.context
        self._channels = channels
        self.operation = message.operation
        self.token = message.token
        self.invocation_id = message.invocation_id
        self.invocation_token = message.invocation_token
        self.idempotency_key = message.idempotency_key
        self._connection_params = message.connection_params
        self._workflows: WorkflowManagerClient | None = None
        self._invoker: PluginInvokerClient | None = None

    @classmethod
    def make(
        cls,
        operation: str = "",
        *,
        subject: Subject | None = None,
        credential: Credential | None = None,
        access: Access | None = None,
        workflow: dict[str, Any] | None = None,
        public_base_url: str = "",
        channels: HostChannels | None = None,
        workflows: WorkflowManagerClient | None = None,
        invoker: PluginInvokerClient | None = None,
        **fields: Any,
    ) -> Request:
        """Return a request for tests of a plugin.

        Args:
            workflow: See ``Request.workflow``.
            channels: Where the host's services are; None: in the environment.
            workflows, invoker: What the methods of these names return, instead of clients of the host's services.
            fields: Texts and ``connection_params``, named as the attributes above.
        """
        message = plugin_pb2.ExecuteRequest(operation=operation, **fields)
        if subject is not None:
            message.context.subject.CopyFrom(
                plugin_pb2.SubjectContext(
                    id=subject.id,
                    kind=subject.kind,
                    display_name=subject.display_name,
                    auth_source=subject.auth_source,
                )
            )
        if credential is not None:
            message.context.credential.CopyFrom(
                plugin_pb2.CredentialContext(
                    mode=credential.mode,
                    subject_id=credential.subject_id,
                    connection=credential.connection,
                    instance=credential.instance,
                )
            )
        if access is not None:
            message.context.access.CopyFrom(plugin_pb2.AccessContext(policy=access.policy, role=access.role))
        if workflow:
            message.context.workflow.CopyFrom(to_struct(workflow))
        message.context.host.public_base_url = public_base_url
        request = cls(message, channels or HostChannels())
        request._workflows, request._invoker = workflows, invoker
        return request

    @property
    def connection_params(self) -> dict[str, str]:
        """Return the parameters of the connection."""
        return dict(self._connection_params)

    @cached_property
    def subject(self) -> Subject:
        """Return who the call is made for."""
        return _subject(self._context.subject)

    @cached_property
    def credential(self) -> Credential:
        """Return the credential that the call uses."""
        message = self._context.credential
        return Credential(message.mode, message.subject_id, message.connection, message.instance)

    @cached_property
    def access(self) -> Access:
        """Return by what the host admitted the call."""
        return Access(self._context.access.policy, self._context.access.role)

    @cached_property
    def workflow(self) -> dict[str, Any]:
        """Return what the call is part of (contract.md 4.2); empty outside a workflow.

        Members are ``runId``, ``provider``, ``target``, ``trigger`` and more.
        """
        return from_struct(self._context.workflow)

    @cached_property
    def agent_subject(self) -> Subject:
        """Return the agent that acts on behalf of ``subject``; its id is empty when none does."""
        return _subject(self._context.agent_subject)

    @cached_property
    def external_identity(self) -> ExternalIdentity:
        """Return who ``subject`` is in the system that sent the call."""
        return ExternalIdentity(self._context.external_identity.type, self._context.external_identity.id)

    @cached_property
    def agent_external_identity(self) -> ExternalIdentity:
        """Return who ``agent_subject`` is in the system that sent the call."""
        message = self._context.agent_external_identity
        return ExternalIdentity(message.type, message.id)

    @property
    def public_base_url(self) -> str:
        """Return the host's URL without a trailing slash; empty when it has none."""
        return self._context.host.public_base_url

    def workflows(self) -> WorkflowManagerClient:
        """Return a client of the host's workflow manager that acts as this call's subject.

        Raises:
            EnvironmentUnusable: the host has no workflow provider.
        """
        if self._workflows is not None:
            return self._workflows
        from gestalt_sdk.workflow.clients import WorkflowManagerClient

        channel = self._channels.channel(WORKFLOW_MANAGER_SOCKET)
        return WorkflowManagerClient(channel, self.invocation_token, idempotency_key=self.idempotency_key)

    def invoker(self) -> PluginInvokerClient:
        """Return a client of the host's plugin invoker that acts as this call's subject.

        Raises:
            EnvironmentUnusable: this plugin's configuration declares no ``invokes``.
        """
        if self._invoker is not None:
            return self._invoker
        from gestalt_sdk.workflow.invoker import PluginInvokerClient

        return PluginInvokerClient(self._channels.channel(PLUGIN_INVOKER_SOCKET), self.invocation_token)

    async def invoke(
        self, plugin: str, operation: str, params: dict[str, Any] | None = None, **options: Any
    ) -> InvocationResult:
        """Invoke an operation that this plugin's ``invokes`` declares; see ``PluginInvokerClient.invoke``."""
        return await self.invoker().invoke(plugin, operation, params, **options)


def _subject(message: plugin_pb2.SubjectContext) -> Subject:
    return Subject(message.id, message.kind, message.display_name, message.auth_source)
