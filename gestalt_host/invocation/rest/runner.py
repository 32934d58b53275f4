"""Running the operations of a declarative plugin: from an invocation to the other side's answer (packaging.md 4.2)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from gestalt_host.errors import CredentialRejected, HostError, ResultUnfit, UpstreamFailed, UpstreamInvalid
from gestalt_host.invocation.model import Invocation, OperationResult
from gestalt_host.invocation.payloads import members_of
from gestalt_host.invocation.rest.client import Answer, Budget, RestClient
from gestalt_host.invocation.rest.egress import EgressRules
from gestalt_host.invocation.rest.pagination import all_pages, with_page_parameters
from gestalt_host.invocation.rest.places import Places
from gestalt_host.invocation.rest.requests import PreparedRequest, prepare
from gestalt_host.invocation.rest.selection import Unselectable, read
from gestalt_host.packages.manifests.rest_model import RestOperation, RestSurface

MOST_RUN_BYTES = 4 * 1024 * 1024
"""Of a result of a run: runs are kept, and a message that carries one goes through the store."""
OUTCOMES = (
    "succeeded",
    "client_error",
    "server_error",
    "credential_rejected",
    "refused",
    "timeout",
    "unreachable",
    "egress_refused",
    "unreadable",
    "invalid",
)
"""How an operation ends: by its answer (below 400, 4xx, 5xx, 401 to a credential), refused before it was sent, or why
there was no answer that could be used."""


class RestRunner:
    """Sends what operations ask for, from this process: such a plugin has none of its own.

    Attributes:
        outcomes: How often operations ended in each way of ``OUTCOMES``.
    """

    def __init__(
        self,
        surface: RestSurface,
        rules: EgressRules,
        name: str,
        *,
        client: RestClient | None = None,
        large: Places | None = None,
    ) -> None:
        self.name = name
        self.outcomes: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        self._surface = surface
        self._operations = {key: with_page_parameters(item) for key, item in surface.operations.items()}
        self._client = client or RestClient(rules, large=large)

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()

    async def invoke(self, invocation: Invocation) -> OperationResult:
        """Send the operation's request and return the answer, whatever its status; a cancelled caller cancels it.

        Raises:
            InvalidArgument, InvalidInvocation: the parameters do not make a request; nothing is sent.
            CredentialRejected: the answer is 401, and a credential was sent.
            UpstreamFailed: there is no answer that can be used.
            ResultUnfit: a run's result is too large.
        """
        operation = self._operations.get(invocation.operation)
        if operation is None:
            return OperationResult(404, '{"error":"unknown operation"}')
        budget = self._client.budget(invocation.subject.subject_id)
        try:
            async with budget.room:
                answer = await self._answer(operation, invocation, budget)
                if answer.status == 401 and answer.credential_sent:
                    raise CredentialRejected(self.name)
                result = _result(answer)
        except HostError as error:
            self.outcomes[_outcome_of(error)] += 1
            raise
        self.outcomes["succeeded" if answer.status < 400 else f"{_SIDES[answer.status // 100]}_error"] += 1
        if invocation.workflow is not None and len(answer.body) > MOST_RUN_BYTES:
            raise ResultUnfit(
                f"the result has {len(answer.body)} bytes; accepted of a run are {MOST_RUN_BYTES} (4 MiB)"
            )
        return result

    async def _answer(self, operation: RestOperation, invocation: Invocation, budget: Budget) -> Answer:
        def prepared(params: Mapping[str, object]) -> PreparedRequest:
            return prepare(self._surface, operation, params, invocation.credential, plugin=self.name)

        async def ask(params: Mapping[str, object]) -> Answer:
            return await self._client.send(prepared(params), budget)

        def left_s() -> float:
            return budget.until - asyncio.get_running_loop().time()

        params = members_of(invocation.params)
        if operation.pagination is not None:
            return await all_pages(operation.pagination, params, ask, prepared(params).template, left_s)
        request = prepared(params)
        answer = await self._client.send(request, budget)
        if not operation.data_path or answer.status >= 400 or not answer.body:
            return answer
        try:
            part = await read(answer.body, lambda document: document.text(document.part(operation.data_path)), left_s())
            return replace(answer, body=part.encode())
        except Unselectable as error:
            raise UpstreamInvalid(request.template, str(error)) from None


_SIDES = {4: "client", 5: "server"}


def _result(answer: Answer) -> OperationResult:
    content_type = answer.headers.get("content-type") or "application/json"
    try:
        return OperationResult(answer.status, answer.body.decode(), content_type)
    except UnicodeDecodeError:
        return OperationResult(answer.status, answer.body.decode(errors="replace"), content_type, answer.body)


def _outcome_of(error: HostError) -> str:
    if isinstance(error, UpstreamFailed):
        return error.outcome
    return "credential_rejected" if isinstance(error, CredentialRejected) else "refused"
