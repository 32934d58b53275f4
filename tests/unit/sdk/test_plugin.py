"""Operations of a plugin over gRPC: parameters, results, errors, context, catalogue."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import grpc
import orjson
import pytest
import yaml
from google.protobuf.empty_pb2 import Empty

from gestalt_sdk.common.requests import current_request_id
from gestalt_sdk.gen.v1 import plugin_pb2 as pb
from gestalt_sdk.gen.v1 import plugin_pb2_grpc, workflow_pb2, workflow_pb2_grpc
from gestalt_sdk.plugin import (
    ExternalIdentity,
    HTTPSubjectRequest,
    Operation,
    OperationError,
    Plugin,
    PostConnectCredential,
    Request,
    Response,
    Subject,
    SubjectRejected,
    operation,
)
from gestalt_sdk.plugin.catalogue import Catalogue
from gestalt_sdk.plugin.operations import DeclarationInvalid
from gestalt_sdk.serving.event_loop import run_event_loop
from gestalt_sdk.serving.process import write_catalogue
from gestalt_sdk.transport.channels import open_channel, request_id_of
from gestalt_sdk.transport.environment import Address
from gestalt_sdk.transport.host_channels import HostChannels
from gestalt_sdk.transport.values import from_struct, to_struct
from gestalt_sdk.workflow import Grant, PluginInvokerClient
from tests.support.waiting import eventually


@dataclass
class PostMessage:
    channel: Annotated[str, "Where to"]
    text: str = "hello"
    tags: list[str] = field(default_factory=list)


class Probe(Plugin):
    display_name = "Probe"
    description = "A probe"

    @operation("chat.postMessage", title="Post a message", method="post", tags=["chat"], destructive=False)
    async def post(self, request: Request, message: PostMessage) -> dict[str, Any]:
        """Post a message
        to a channel.

        More words.
        """
        return {"channel": message.channel, "text": message.text, "tags": message.tags, "by": request.subject.id}

    @operation("types", read_only=True, visible=False, allowed_roles=["admin"], required_scopes=["read"])
    async def types(
        self,
        text: str = "",
        n: int = 0,
        x: float = 0.0,
        flag: bool = False,
        items: list[int] | None = None,
        options: dict[str, bool] | None = None,
        mode: Literal["fast", "slow"] = "fast",
        maybe: int | None = 7,
        anything: Any = None,
    ) -> list[Any]:
        return [text, n, x, flag, items, options, mode, maybe, anything]

    @operation("needed")
    async def needed(self, n: int) -> int:
        return n

    @operation("rest")
    async def rest(self, request: Request, a: int = 1, **more: Any) -> dict[str, Any]:
        return {"a": a, **more}

    @operation("results")
    async def results(self, kind: str) -> Any:
        if kind == "response":
            return Response(201, {"made": True})
        if kind == "long integers":
            return {"n": 10**30 + 1, "items": [-(2**64), PostMessage("#c", tags=[2**64])]}  # type: ignore[list-item]
        if kind == "text":
            return Response(202, "plain")
        if kind == "error":
            raise OperationError(409, "it is taken")
        if kind == "none":
            return None
        if kind == "object":
            return object()
        raise RuntimeError("a secret detail")

    @operation("context")
    async def context(self, request: Request) -> dict[str, Any]:
        return {
            "credential": [request.credential.mode, request.credential.connection],
            "access": [request.access.policy, request.access.role],
            "workflow": request.workflow,
            "key": request.idempotency_key,
            "token": request.token,
            "params": request.connection_params,
            "base": request.public_base_url,
        }

    @operation("publish")
    async def publish(self, request: Request) -> str:
        return (await request.workflows().publish_event("probe.done", source="probe", data={"n": 1})).id

    @operation("forward")
    async def forward(self, request: Request) -> Any:
        result = await request.invoke("other", "do", {"a": 1})
        return [result.status, result.json()]

    @operation("hang")
    async def hang(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.host_was_gone = True


@pytest.fixture
async def stub(tmp_path: Path) -> AsyncIterator[plugin_pb2_grpc.IntegrationProviderStub]:
    async with served(Probe(), tmp_path) as stub:
        yield stub


class served:  # noqa: N801 - reads as a function
    """The plugin's service over a unix socket, in this process."""

    def __init__(self, plugin: Plugin, folder: Path) -> None:
        self._plugin, self._path = plugin, folder / "p"

    async def __aenter__(self) -> plugin_pb2_grpc.IntegrationProviderStub:
        self._server = grpc.aio.server()
        self._plugin.register(self._server)
        self._server.add_insecure_port(f"unix:{self._path}")
        await self._server.start()
        self._channel = open_channel(Address(f"unix:{self._path}"))
        return plugin_pb2_grpc.IntegrationProviderStub(self._channel)

    async def __aexit__(self, *details: object) -> None:
        await self._channel.close()
        await self._server.stop(0)
        await self._plugin.host_channels.close()


async def execute(
    stub: plugin_pb2_grpc.IntegrationProviderStub, name: str, params: Mapping[str, Any] | None = None, **fields: Any
) -> tuple[int, Any]:
    request = pb.ExecuteRequest(operation=name, params=to_struct(params) if params else None, **fields)
    result = await stub.Execute(request, timeout=10)
    return result.status, orjson.loads(result.body)


async def test_a_dataclass_takes_the_parameters(stub: Any) -> None:
    context = pb.RequestContext(subject=pb.SubjectContext(id="user:1"))
    status, body = await execute(
        stub, "chat.postMessage", {"channel": "c", "tags": ["x"], "unknown": 1}, context=context
    )
    assert (status, body) == (200, {"channel": "c", "text": "hello", "tags": ["x"], "by": "user:1"})
    assert (await execute(stub, "chat.postMessage")) == (
        400,
        {"error": 'parameter "channel" is missing; accepted is text'},
    )


async def test_defaults_and_values_of_each_type(stub: Any) -> None:
    assert await execute(stub, "types") == (200, ["", 0, 0.0, False, None, None, "fast", 7, None])
    given = {
        "text": "t", "n": 3, "x": 2, "flag": True, "items": [1, 2], "options": {"a": True}, "mode": "slow",
        "maybe": None, "anything": {"deep": [1]},
    }  # fmt: skip
    assert await execute(stub, "types", given) == (
        200,
        ["t", 3, 2.0, True, [1, 2], {"a": True}, "slow", None, {"deep": [1]}],
    )
    # A query string has texts only.
    texts = {"n": "3", "x": "2.5", "flag": "true", "items": "[1,2]", "options": '{"a":false}', "maybe": "4"}
    assert await execute(stub, "types", texts) == (200, ["", 3, 2.5, True, [1, 2], {"a": False}, "fast", 4, None])


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"text": 5}, 'parameter "text" is 5; accepted is text'),
        ({"n": 1.5}, 'parameter "n" is 1.5; accepted is an integer'),
        ({"n": "many"}, 'parameter "n" is "many"; accepted is an integer'),
        ({"n": True}, 'parameter "n" is true; accepted is an integer'),
        ({"x": "far"}, 'parameter "x" is "far"; accepted is a number'),
        ({"flag": 1}, 'parameter "flag" is 1; accepted is true or false'),
        ({"items": {"a": 1}}, 'parameter "items" is {"a":1}; accepted is a list; of each item: accepted is an integer'),
        ({"items": [1, "b"]}, 'parameter "items" is [1,"b"]; accepted is a list; of each item: accepted is an integer'),
        (
            {"options": [1]},
            'parameter "options" is [1]; accepted is an object; of each value: accepted is true or false',
        ),
        ({"mode": "medium"}, 'parameter "mode" is "medium"; accepted are "fast", "slow"'),
        ({"text": ["x" * 200]}, 'parameter "text" is ["' + "x" * 78 + "...; accepted is text"),
    ],
)
async def test_a_parameter_that_does_not_fit_is_named(stub: Any, params: dict[str, Any], error: str) -> None:
    assert await execute(stub, "types", params) == (400, {"error": error})


async def test_a_null_is_an_absent_parameter(stub: Any) -> None:
    assert await execute(stub, "types", {"text": None, "n": None}) == await execute(stub, "types")
    assert (await execute(stub, "needed", {"n": None}))[0] == 400


async def test_rest_takes_what_is_not_declared(stub: Any) -> None:
    assert await execute(stub, "rest", {"a": 2, "b": [3]}) == (200, {"a": 2, "b": [3]})


async def test_results_and_errors(stub: Any) -> None:
    assert await execute(stub, "results", {"kind": "response"}) == (201, {"made": True})
    assert await execute(stub, "results", {"kind": "error"}) == (409, {"error": "it is taken"})
    assert await execute(stub, "results", {"kind": "none"}) == (200, None)
    result = await stub.Execute(pb.ExecuteRequest(operation="results", params=to_struct({"kind": "long integers"})))
    assert (result.status, json.loads(result.body)) == (
        200,
        {"n": 10**30 + 1, "items": [-(2**64), {"channel": "#c", "text": "hello", "tags": [2**64]}]},
    )
    assert await execute(stub, "results", {"kind": "boom"}) == (500, {"error": "internal error"})
    assert await execute(stub, "results", {"kind": "object"}) == (500, {"error": "internal error"})
    assert await execute(stub, "nope") == (404, {"error": "unknown operation 'nope'"})
    plain = await stub.Execute(pb.ExecuteRequest(operation="results", params=to_struct({"kind": "text"})), timeout=5)
    assert (plain.status, plain.body) == (202, "plain")
    compact = await stub.Execute(pb.ExecuteRequest(operation="rest", params=to_struct({"b": 2})), timeout=5)
    assert compact.body == '{"a":1,"b":2}'


async def test_the_request_shows_its_context(stub: Any) -> None:
    context = pb.RequestContext(
        credential=pb.CredentialContext(mode="user", connection="main"),
        access=pb.AccessContext(policy="p", role="r"),
        workflow=to_struct({"runId": "run-1", "trigger": {"kind": "manual"}}),
        host=pb.HostContext(public_base_url="http://h"),
    )
    status, body = await execute(
        stub, "context", context=context, idempotency_key="k", token="t", connection_params={"region": "eu"}
    )
    assert (status, body) == (
        200,
        {
            "credential": ["user", "main"],
            "access": ["p", "r"],
            "workflow": {"runId": "run-1", "trigger": {"kind": "manual"}},
            "key": "k",
            "token": "t",
            "params": {"region": "eu"},
            "base": "http://h",
        },
    )


async def test_a_canceled_call_cancels_the_operation(tmp_path: Path) -> None:
    plugin = Probe()
    plugin.host_was_gone = False
    async with served(plugin, tmp_path) as stub:
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Execute(pb.ExecuteRequest(operation="hang"), timeout=0.2)

        async def gone() -> bool | None:
            return plugin.host_was_gone or None

        await eventually(gone, within_s=5)


class Host(workflow_pb2_grpc.WorkflowManagerHostServicer, plugin_pb2_grpc.PluginInvokerServicer):
    def __init__(self) -> None:
        self.request_ids: list[str] = []

    async def PublishEvent(self, request: workflow_pb2.WorkflowManagerPublishEventRequest, context: Any) -> Any:
        self.request_ids.append(request_id_of(context))
        if request.invocation_token != "tok":
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "invocation token is required")
        request.event.id = f"{request.event.type}/{request.event.source}"
        return request.event

    async def Invoke(self, request: pb.PluginInvokeRequest, context: Any) -> pb.OperationResult:
        body = orjson.dumps([request.plugin, request.operation, request.invocation_token]).decode()
        return pb.OperationResult(status=0, body=body)


async def test_host_services_get_the_calls_token(stub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = grpc.aio.server()
    host = Host()
    workflow_pb2_grpc.add_WorkflowManagerHostServicer_to_server(host, server)
    plugin_pb2_grpc.add_PluginInvokerServicer_to_server(host, server)
    server.add_insecure_port(f"unix:{tmp_path / 'h'}")
    await server.start()
    monkeypatch.setenv("GESTALT_WORKFLOW_MANAGER_SOCKET", str(tmp_path / "h"))
    monkeypatch.setenv("GESTALT_PLUGIN_INVOKER_SOCKET", str(tmp_path / "h"))
    assert await execute(stub, "publish", invocation_token="tok") == (200, "probe.done/probe")
    assert await execute(stub, "forward", invocation_token="tok") == (200, [200, ["other", "do", "tok"]])
    assert (await execute(stub, "publish"))[0] == 500
    for given in ("req-7", "x" * 129):
        await execute(stub, "publish", invocation_token="tok", invocation_id=given)
    assert host.request_ids == ["", "", "req-7", ""]
    await server.stop(0)


class Invoker(plugin_pb2_grpc.PluginInvokerServicer):
    """Answers with the token of the call and what was asked for."""

    async def Invoke(self, request: pb.PluginInvokeRequest, context: Any) -> pb.OperationResult:
        return pb.OperationResult(status=418, body=f"{request.invocation_token} {request.connection}")

    async def InvokeGraphQL(self, request: pb.PluginInvokeGraphQLRequest, context: Any) -> pb.OperationResult:
        asked = [request.plugin, request.document, from_struct(request.variables), request.invocation_token]
        return pb.OperationResult(body=orjson.dumps(asked).decode())

    async def ExchangeInvocationToken(
        self, request: pb.ExchangeInvocationTokenRequest, context: Any
    ) -> pb.ExchangeInvocationTokenResponse:
        grants = ",".join(f"{grant.plugin}:{'/'.join(grant.operations)}" for grant in request.grants)
        token = f"{request.parent_invocation_token}>{grants}>{request.ttl_seconds}"
        return pb.ExchangeInvocationTokenResponse(invocation_token=token)


async def test_an_invoker_sends_its_token_and_gives_narrower_ones(tmp_path: Path) -> None:
    server = grpc.aio.server()
    plugin_pb2_grpc.add_PluginInvokerServicer_to_server(Invoker(), server)
    server.add_insecure_port(f"unix:{tmp_path / 'h'}")
    await server.start()
    async with open_channel(Address(f"unix:{tmp_path / 'h'}")) as channel:
        invoker = PluginInvokerClient(channel, "tok")
        answer = await invoker.invoke("other", "do", connection="main")
        assert (answer.status, answer.body, answer.ok) == (418, "tok main", False)
        with pytest.raises(ValueError, match="invalid literal"):
            answer.json()
        answer = await invoker.invoke_graphql("other", "{ me }", {"n": 1})
        assert (answer.status, answer.ok) == (200, True)
        assert answer.json() == ["other", "{ me }", {"n": 1}, "tok"]
        narrower = await invoker.narrowed([Grant("other", ["do", "undo"])], ttl_s=60)
        assert (await narrower.invoke("other", "do")).body == "tok>other:do/undo>60 "
    await server.stop(0)


def test_a_request_names_everybody_who_takes_part() -> None:
    message = pb.ExecuteRequest()
    message.context.subject.id, message.context.agent_subject.id = "user:1", "agent:2"
    message.context.external_identity.type, message.context.external_identity.id = "slack", "U1"
    message.context.agent_external_identity.id = "A2"
    request = Request(message, HostChannels())
    assert (request.subject, request.agent_subject) == (Subject("user:1"), Subject("agent:2"))
    assert request.external_identity == ExternalIdentity("slack", "U1")
    assert request.agent_external_identity == ExternalIdentity("", "A2")


class Hooks(Plugin):
    def __init__(self) -> None:
        super().__init__()
        self.request_ids: list[str] = []

    async def session_catalogue(self, request: Request) -> Catalogue:
        self.request_ids.append(current_request_id())
        return Catalogue(name=request.token, operations=[Operation("only.mine", input_schema={"type": "object"})])

    async def post_connect(self, credential: PostConnectCredential) -> dict[str, str]:
        self.request_ids.append(current_request_id())
        return {"account": credential.access_token.upper()}

    async def resolve_http_subject(self, http: HTTPSubjectRequest, request: Request) -> Subject:
        if http.headers.get("x-deny"):
            raise SubjectRejected(403, "no entry")
        return Subject(id=f"user:{http.verified_subject}", kind="user")


async def test_hooks_know_which_request_they_are_called_for(tmp_path: Path) -> None:
    plugin = Hooks()
    async with served(plugin, tmp_path) as stub:
        await stub.GetSessionCatalog(pb.GetSessionCatalogRequest(invocation_id="req-7"), timeout=5)
        await stub.PostConnect(pb.PostConnectRequest(), timeout=5, metadata=(("x-request-id", "req-8"),))
        await stub.GetSessionCatalog(pb.GetSessionCatalogRequest(), timeout=5)
    assert plugin.request_ids == ["req-7", "req-8", ""]


async def test_hooks_are_advertised_and_called(tmp_path: Path) -> None:
    async with served(Hooks(), tmp_path) as stub:
        metadata = await stub.GetMetadata(Empty(), timeout=5)
        assert metadata.supports_session_catalog
        assert metadata.supports_post_connect
        catalogue = (await stub.GetSessionCatalog(pb.GetSessionCatalogRequest(token="t"), timeout=5)).catalog
        assert (catalogue.name, catalogue.operations[0].id) == ("t", "only.mine")
        credential = pb.PostConnectCredential(access_token="abc")
        connected = await stub.PostConnect(pb.PostConnectRequest(token=credential), timeout=5)
        assert dict(connected.metadata) == {"account": "ABC"}
        http = pb.HTTPSubjectRequest(verified_subject="7")
        answer = await stub.ResolveHTTPSubject(pb.ResolveHTTPSubjectRequest(request=http), timeout=5)
        assert answer.subject.id == "user:7"
        http.headers["x-deny"].values.append("1")
        answer = await stub.ResolveHTTPSubject(pb.ResolveHTTPSubjectRequest(request=http), timeout=5)
        assert (answer.reject_status, answer.reject_message) == (403, "no entry")
    assert "abc" not in repr(PostConnectCredential(access_token="abc"))


class Verbose(Hooks):
    async def configure(self, name: str, config: Mapping[str, Any]) -> None:
        raise ValueError("é" * 100_000)

    async def session_catalogue(self, request: Request) -> Catalogue:
        raise ValueError("é" * 100_000)

    async def post_connect(self, credential: PostConnectCredential) -> dict[str, str]:
        raise ValueError("é" * 100_000)

    async def resolve_http_subject(self, http: HTTPSubjectRequest, request: Request) -> Subject:
        raise ValueError("é" * 100_000)


@pytest.mark.parametrize(
    ("rpc", "request_", "step"),
    [
        ("StartProvider", pb.StartProviderRequest(name="p", protocol_version=3), "configure provider"),
        ("GetSessionCatalog", pb.GetSessionCatalogRequest(), "session catalogue"),
        ("PostConnect", pb.PostConnectRequest(), "post-connect"),
        ("ResolveHTTPSubject", pb.ResolveHTTPSubjectRequest(), "HTTP subject resolution"),
    ],
)
async def test_what_a_hook_says_arrives_however_long_it_is(rpc: str, request_: Any, step: str, tmp_path: Path) -> None:
    async with served(Verbose(), tmp_path) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await getattr(stub, rpc)(request_, timeout=5)
    text = failed.value.details() or ""
    assert failed.value.code() is grpc.StatusCode.UNKNOWN
    assert text.startswith(f"{step}: éé")
    assert text.endswith(" bytes in all)")


class Personal(Plugin):
    @operation("open")
    async def open(self) -> str:
        return "open"

    @operation("reset", session=True)
    async def reset(self, hard: bool = False) -> dict[str, bool]:
        return {"hard": hard}

    async def session_catalogue(self, request: Request) -> Catalogue:
        mine = Operation(f"{request.subject.id}.read", input_schema={"type": "object"})
        return Catalogue(operations=[self.operations["reset"].operation, mine])

    async def session_operation(self, request: Request, params: dict[str, Any]) -> Any:
        if request.operation != "ann.read":
            raise OperationError(404, f"unknown operation {request.operation}")
        return {"read": params}


async def test_operations_of_a_session_are_offered_there_alone_and_performed(tmp_path: Path) -> None:
    plugin = Personal()
    assert [item["id"] for item in plugin.catalogue().document()["operations"]] == ["open"]
    async with served(plugin, tmp_path) as stub:
        asked = pb.GetSessionCatalogRequest(context=pb.RequestContext(subject=pb.SubjectContext(id="ann")))
        catalogue = (await stub.GetSessionCatalog(asked, timeout=5)).catalog
        assert [item.id for item in catalogue.operations] == ["reset", "ann.read"]
        assert await execute(stub, "open") == (200, "open")
        assert await execute(stub, "reset", {"hard": True}) == (200, {"hard": True})
        assert await execute(stub, "reset", {"hard": []}) == (
            400,
            {"error": 'parameter "hard" is []; accepted is true or false'},
        )
        assert await execute(stub, "ann.read", {"n": 1}) == (200, {"read": {"n": 1}})
        assert await execute(stub, "bob.read") == (404, {"error": "unknown operation bob.read"})


async def test_a_hook_that_is_not_overridden_is_not_offered() -> None:
    plugin = Plugin()
    hooks = ("session_catalogue", "session_operation", "post_connect", "resolve_http_subject")
    assert not any(map(Plugin.offers, hooks))
    with pytest.raises(NotImplementedError):
        await plugin.session_catalogue(Request.make())
    with pytest.raises(NotImplementedError):
        await plugin.session_operation(Request.make(), {})
    with pytest.raises(NotImplementedError):
        await plugin.post_connect(PostConnectCredential())
    with pytest.raises(NotImplementedError):
        await plugin.resolve_http_subject(HTTPSubjectRequest(), Request.make())


async def test_hooks_that_are_not_overridden_are_unimplemented(stub: Any) -> None:
    for method, request in (
        (stub.GetSessionCatalog, pb.GetSessionCatalogRequest()),
        (stub.PostConnect, pb.PostConnectRequest()),
        (stub.ResolveHTTPSubject, pb.ResolveHTTPSubjectRequest()),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await method(request, timeout=5)
        assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_catalogue_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GESTALT_PLUGIN_NAME", raising=False)
    run_event_loop(write_catalogue(Probe, tmp_path / "catalog.yaml"))
    assert [path.name for path in tmp_path.iterdir()] == ["catalog.yaml"]
    document = yaml.safe_load((tmp_path / "catalog.yaml").read_text())
    assert document["name"] == "probe"
    assert document["displayName"] == "Probe"
    operations = {each["id"]: each for each in document["operations"]}
    assert list(operations) == sorted(operations)
    assert operations["chat.postMessage"] == {
        "id": "chat.postMessage",
        "method": "POST",
        "title": "Post a message",
        "description": "Post a message to a channel.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "channel": {"type": "string", "description": "Where to"},
                "text": {"type": "string", "default": "hello"},
                "tags": {"type": "array", "items": {"type": "string"}, "default": []},
            },
            "required": ["channel"],
            "additionalProperties": False,
        },
        "annotations": {"destructiveHint": False},
        "parameters": [
            {"name": "channel", "type": "string", "description": "Where to", "required": True},
            {"name": "text", "type": "string", "default": "hello"},
            {"name": "tags", "type": "array", "default": []},
        ],
        "tags": ["chat"],
        "transport": "plugin",
    }
    assert operations["rest"]["inputSchema"]["additionalProperties"] is True
    types = operations["types"]
    assert (types["visible"], types["readOnly"], types["allowedRoles"]) == (False, True, ["admin"])
    assert types["annotations"] == {"readOnlyHint": True}
    assert types["requiredScopes"] == ["read"]
    kinds = {each["name"]: each["type"] for each in types["parameters"]}
    assert kinds == {
        "text": "string", "n": "integer", "x": "number", "flag": "boolean", "items": "array", "options": "object",
        "mode": "string", "maybe": "integer", "anything": "object",
    }  # fmt: skip


def test_declarations_that_cannot_work_are_refused() -> None:
    with pytest.raises(DeclarationInvalid, match="is not an async method"):

        @operation("x")  # type: ignore[type-var]
        def plain(self: Any) -> None:
            pass

    with pytest.raises(DeclarationInvalid, match=r"operation id is 'a..b'; accepted are words"):
        operation("a..b")(Probe.needed)

    class Twice(Plugin):
        @operation("x")
        async def one(self) -> None: ...

        @operation("x")
        async def two(self) -> None: ...

    with pytest.raises(DeclarationInvalid, match="'x' is declared by two methods"):
        Twice()

    class Odd(Plugin):
        @operation("x")
        async def one(self, n: set[int]) -> None: ...

    with pytest.raises(DeclarationInvalid, match=r"operation 'x': parameter n: set\[int\] cannot be a parameter"):
        Odd()

    class Mixed(Plugin):
        @operation("x")
        async def one(self, message: PostMessage, more: int) -> None: ...

    with pytest.raises(DeclarationInvalid, match="message is a dataclass, so it must be the only parameter"):
        Mixed()

    class Shown(Plugin):
        @operation("x")
        async def one(self, when: Any = datetime.min) -> None: ...

    with pytest.raises(DeclarationInvalid, match=r"parameter when: its default cannot be shown as JSON: .*datetime"):
        Shown()


async def test_an_operation_can_be_called_without_a_host() -> None:
    request = Request.make(subject=Subject("user:9"), workflow={"runId": "r"}, idempotency_key="k")
    result = await Probe().operations["chat.postMessage"].call(request, {"channel": "c"})
    assert result["by"] == "user:9"
    assert request.workflow == {"runId": "r"}
    assert request.idempotency_key == "k"
