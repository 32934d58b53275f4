"""Call operations of other plugins through the host's PluginInvoker (contract.md 4.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import orjson

from gestalt_sdk.gen.v1 import plugin_pb2, plugin_pb2_grpc
from gestalt_sdk.transport.host_channels import CALL_TIMEOUT_S, call
from gestalt_sdk.transport.values import shallow_struct


@dataclass(frozen=True, slots=True)
class InvocationResult:
    """Hold what an operation answered: an HTTP-like ``status`` and a text, normally JSON."""

    status: int
    body: str

    @property
    def ok(self) -> bool:
        """Tell whether the status is below 400."""
        return self.status < 400

    def json(self) -> Any:
        """Return the body as a JSON value. Raises ``ValueError`` when it is none."""
        return orjson.loads(self.body)


@dataclass(frozen=True, slots=True)
class Grant:
    """State what a narrower token may do on ``plugin``: operations, surfaces, or everything."""

    plugin: str
    operations: Sequence[str] = ()
    surfaces: Sequence[str] = ()
    all_operations: bool = False


class PluginInvokerClient:
    """Invoke operations of other plugins with one invocation token; made by ``Request.invoker``.

    Errors of every method: ``ServiceRefused``, and ``ServiceUnavailable`` without an answer.
    """

    def __init__(self, channel: grpc.aio.Channel, invocation_token: str) -> None:
        self._channel = channel
        self._stub = plugin_pb2_grpc.PluginInvokerStub(channel)
        self._token = invocation_token

    async def invoke(
        self,
        plugin: str,
        operation: str,
        params: Mapping[str, Any] | None = None,
        *,
        connection: str = "",
        instance: str = "",
        idempotency_key: str = "",
        timeout_s: float | None = CALL_TIMEOUT_S,
    ) -> InvocationResult:
        """Invoke an operation; a status of 400 or more is a result.

        Args:
            params: A JSON object; None: no parameters.
            connection, instance: Which credential is used; empty: the default one.
            timeout_s: Longest wait for the answer; None: as long as it takes.
        """
        request = plugin_pb2.PluginInvokeRequest(
            plugin=plugin,
            operation=operation,
            params=shallow_struct("params", params),
            connection=connection,
            instance=instance,
            invocation_token=self._token,
            idempotency_key=idempotency_key,
        )
        result = await call(self._stub.Invoke, request, timeout_s)
        return InvocationResult(result.status or 200, result.body)

    async def invoke_graphql(
        self,
        plugin: str,
        document: str,
        variables: Mapping[str, Any] | None = None,
        *,
        connection: str = "",
        instance: str = "",
        idempotency_key: str = "",
        timeout_s: float | None = CALL_TIMEOUT_S,
    ) -> InvocationResult:
        """Send a GraphQL document to the plugin's ``graphql`` surface; arguments and result as for ``invoke``."""
        request = plugin_pb2.PluginInvokeGraphQLRequest(
            plugin=plugin,
            document=document,
            variables=shallow_struct("variables", variables),
            connection=connection,
            instance=instance,
            invocation_token=self._token,
            idempotency_key=idempotency_key,
        )
        result = await call(self._stub.InvokeGraphQL, request, timeout_s)
        return InvocationResult(result.status or 200, result.body)

    async def narrowed(self, grants: Sequence[Grant] = (), *, ttl_s: int = 0) -> PluginInvokerClient:
        """Return a client whose token has only these grants; none: the same ones.

        Args:
            ttl_s: Seconds until the token ends, never later than this call's own; 0: 10 minutes.
        """
        request = plugin_pb2.ExchangeInvocationTokenRequest(
            parent_invocation_token=self._token,
            grants=[
                plugin_pb2.PluginInvocationGrant(
                    plugin=grant.plugin,
                    operations=grant.operations,
                    surfaces=grant.surfaces,
                    all_operations=grant.all_operations,
                )
                for grant in grants
            ],
            ttl_seconds=ttl_s,
        )
        response = await call(self._stub.ExchangeInvocationToken, request)
        return PluginInvokerClient(self._channel, response.invocation_token)
