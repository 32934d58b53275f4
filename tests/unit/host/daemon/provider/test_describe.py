"""`gestaltd provider describe`: declarations as a .proto file has them, and templates that a call would take."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor

from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.provider.describe import _chosen, _symbols, description, template
from gestalt_host.daemon.provider.json_messages import JsonText, read_message
from gestalt_host.daemon.provider.reflection_client import Socket, bundled_pool
from gestalt_host.supervisor.about import SocketAbout
from gestalt_sdk.gen.extension.v1 import control_pb2, scopes_pb2
from gestalt_sdk.gen.v1 import datastore_pb2, plugin_pb2, workflow_pb2


def inputs() -> Iterator[Descriptor]:
    for module in (datastore_pb2, plugin_pb2, workflow_pb2, scopes_pb2, control_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                yield method.input_type


@pytest.mark.parametrize("message", [pytest.param(item, id=item.full_name) for item in dict.fromkeys(inputs())])
def test_every_template_is_a_message_that_a_call_takes(message: Descriptor) -> None:
    text = json.dumps(template(message))
    read_message(JsonText(text, 1), message_factory.GetMessageClass(message), descriptor_pool.Default())


def test_a_service_a_method_a_message_and_an_enum_are_shown_as_they_are_declared() -> None:
    pool = bundled_pool()
    service = description(pool.FindServiceByName("gestalt.extension.v1.HostControl"))
    assert (
        "\n  rpc StreamLog(gestalt.extension.v1.StreamLogRequest) returns (stream gestalt.extension.v1.LogEntry);\n"
        in service
    )
    entry = description(pool.FindMessageTypeByName("gestalt.extension.v1.LogEntry"))
    assert "  google.protobuf.Timestamp time = 1;\n  int64 pid = 2;\n  oneof what {\n    gestalt.extension" in entry
    method = description(pool.FindServiceByName("gestalt.extension.v1.IndexedDBScopes").methods_by_name["OpenScope"])
    assert "// of gestalt.extension.v1.IndexedDBScopes\nrpc OpenScope(" in method
    assert "  repeated string object_stores = 2;\n" in method
    assert "message gestalt.extension.v1.OpenScopeResponse {}\n" in method
    assert method.endswith('-d \'{\n  "db": "",\n  "objectStores": [\n    ""\n  ],\n  "socketPath": ""\n}\'')
    enum = description(pool.FindEnumTypeByName("gestalt.provider.v1.CursorDirection"))
    assert enum.startswith("enum gestalt.provider.v1.CursorDirection {\n  CURSOR_NEXT = 0;\n")
    ranged = description(pool.FindMessageTypeByName("gestalt.provider.v1.ObjectStoreRangeRequest"))
    assert "  optional gestalt.provider.v1.KeyRange range = 2;\n" in ranged


async def test_symbols_are_found_by_the_end_of_their_names() -> None:
    socket = Socket(SocketAbout("/nobody/there.sock"))
    try:
        found = await _symbols(socket, "gestalt.provider.v1.IntegrationProvider")
        assert await _symbols(socket, "unknown.Service") == {}
    finally:
        await socket.close()
    for symbol in ("IntegrationProvider", "IntegrationProvider.Execute", "ExecuteRequest", "v1.ExecuteRequest"):
        assert _chosen(found, symbol, "plugin/a").full_name.endswith(symbol)
    with pytest.raises(CommandFailed, match=r"plugin/a speaks of no ExecuteReq \(did you mean gestalt.*ExecuteRequest"):
        _chosen(found, "ExecuteReq", "plugin/a")
