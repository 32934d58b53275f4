"""A minimal provider, as somebody may write it without our SDK, with the fault that the variable FAULT names.

Without a fault it keeps every rule. KIND is ``plugin``, ``workflow`` or ``indexeddb``. It is run as a program.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from gestalt_sdk.gen.extension.v1 import check_pb2, check_pb2_grpc
from gestalt_sdk.gen.v1 import plugin_pb2, runtime_pb2, runtime_pb2_grpc
from tests.support.plugins.faulty import extensions, operations

FAULT = os.environ.get("FAULT", "")
KIND = os.environ["KIND"]
PACKAGE = "gestalt.provider.v1"
SERVICES = {
    "plugin": (f"{PACKAGE}.IntegrationProvider",),
    "workflow": (f"{PACKAGE}.ProviderLifecycle", f"{PACKAGE}.WorkflowProvider"),
    "indexeddb": (f"{PACKAGE}.ProviderLifecycle", f"{PACKAGE}.IndexedDB"),
}[KIND]
STORE = os.environ.get("GESTALT_INDEXEDDB_SOCKET", "")
MIB = 1024 * 1024
FOREVER_S = 600
if KIND == "indexeddb":
    sys.path.append(str(Path(__file__).parents[4] / "providers" / "indexeddb_store"))
    from tests.support.plugins.faulty import stores
NUMBERS = {"workflow": 8, "indexeddb": 3, "plugin": 1}


class State:
    """What the handlers share."""

    name = ""
    configured = False
    store: Any = None


async def refuse_version(version: int, context: Any) -> None:
    if version != 3 and FAULT != "takes_any_version":
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "provider requires 3")


async def take(request: Any, context: Any) -> int:
    """Take a configuration; return the version for the answer."""
    await refuse_version(request.protocol_version, context)
    if FAULT == "is_configured_once" and State.configured:
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "it is configured already")
    if FAULT == "dies_of_odd_values" and request.config.fields:
        os._exit(5)
    if FAULT == "refuses_unknown_fields" and len(request.SerializeToString()) > 30:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "unknown field")
    await call_the_store()
    if State.store is not None:
        await State.store.configure()
    State.configured, State.name = True, request.name
    return 2 if FAULT == "answers_another_version" else 3


async def call_the_store() -> None:
    """Call the IndexedDB service, as faults want it called."""
    if FAULT == "needs_its_variables" and not STORE:
        os._exit(6)
    if not STORE or FAULT not in ("dies_without_store", "hangs_with_store", "dies_of_nonsense", "dies_of_noise"):
        return
    with grpc.insecure_channel(f"unix:{STORE}") as channel:  # not of asyncio: nothing else is answered meanwhile
        call = channel.unary_unary(f"/{PACKAGE}.IndexedDB/Get")
        try:
            body = call(b"", timeout=FOREVER_S if FAULT == "hangs_with_store" else 1)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE and FAULT in ("dies_without_store", "dies_of_noise"):
                os._exit(7)
            return
    if FAULT == "dies_of_nonsense":
        try:
            Empty.FromString(body)
        except Exception:
            os._exit(8)


def refuses(context: Any) -> bool:
    keys = {key for key, _ in context.invocation_metadata()}
    return FAULT == "refuses_metadata" and "traceparent" in keys


class Lifecycle(runtime_pb2_grpc.ProviderLifecycleServicer):
    async def GetProviderIdentity(self, request: Empty, context: Any) -> runtime_pb2.ProviderIdentity:
        if refuses(context):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "unknown metadata")
        if FAULT == "dies_of_cancelled_calls" and State.configured:
            try:
                await asyncio.sleep(0.2)
            except asyncio.CancelledError:
                os._exit(9)
        number = NUMBERS[KIND]
        if FAULT == "is_of_another_kind" or (FAULT == "changes_its_kind" and State.configured):
            number = 6
        return runtime_pb2.ProviderIdentity(
            kind=number,  # type: ignore[arg-type]
            name=State.name,
            min_protocol_version=4 if FAULT == "speaks_later_versions_only" else 3,
            max_protocol_version=4 if FAULT == "speaks_later_versions_only" else 3,
            capabilities=["provider.check", *extensions.CAPABILITIES, *(["indexeddb.prefetch"] if State.store else [])],
        )

    async def ConfigureProvider(self, request: Any, context: Any) -> runtime_pb2.ConfigureProviderResponse:
        return runtime_pb2.ConfigureProviderResponse(protocol_version=await take(request, context))

    async def HealthCheck(self, request: Empty, context: Any) -> runtime_pb2.HealthCheckResponse:
        if FAULT == "health_is_an_error" and not State.configured:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not configured")
        return runtime_pb2.HealthCheckResponse(ready=State.configured and FAULT != "is_never_ready")

    async def StartProvider(self, request: Empty, context: Any) -> runtime_pb2.StartRuntimeProviderResponse:
        return runtime_pb2.StartRuntimeProviderResponse(protocol_version=2 if FAULT == "starts_another_version" else 3)


class Plugin(operations.Plugin):
    async def GetMetadata(self, request: Empty, context: Any) -> plugin_pb2.ProviderMetadata:
        return operations.metadata()

    async def StartProvider(self, request: Any, context: Any) -> plugin_pb2.StartProviderResponse:
        return plugin_pb2.StartProviderResponse(protocol_version=await take(request, context))


class Check(check_pb2_grpc.ProviderCheckServicer):
    async def CheckConfig(self, request: Any, context: Any) -> check_pb2.CheckConfigResponse:
        if FAULT == "is_changed_by_a_check":
            State.name = "checked"
        return check_pb2.CheckConfigResponse()


class Anything(grpc.GenericRpcHandler):
    """Answers every method, or the methods of one service, with OK and an empty message."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def service(self, details: Any) -> Any:
        if not details.method.startswith(self.prefix):
            return None

        async def handle(request: bytes, context: Any) -> bytes:
            return b""

        return grpc.unary_unary_rpc_method_handler(handle)


class Silence(grpc.GenericRpcHandler):
    """Takes every call and answers none."""

    def service(self, details: Any) -> Any:
        async def handle(request: bytes, context: Any) -> bytes:
            await asyncio.sleep(FOREVER_S)
            return b""

        return grpc.unary_unary_rpc_method_handler(handle)


class Health(health.aio.HealthServicer):
    async def Check(self, request: Any, context: Any) -> Any:
        serving = State.configured and FAULT != "is_not_serving"
        return health_pb2.HealthCheckResponse(status=1 if serving else 2)


def make_server() -> grpc.aio.Server:
    limit = {"takes_small_messages_only": MIB, "takes_messages_of_any_size": -1}.get(FAULT, 4 * MIB)
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", limit)])
    if FAULT == "answers_no_call":
        server.add_generic_rpc_handlers((Silence(),))
        return server
    if FAULT == "says_ok_to_everything":
        server.add_generic_rpc_handlers((Anything("/"),))
        return server
    if FAULT == "takes_what_is_no_message":
        server.add_generic_rpc_handlers((Anything(f"/{PACKAGE}.ProviderLifecycle/"),))
    elif KIND == "plugin":
        operations.add_plugin(Plugin(), server)
    else:
        runtime_pb2_grpc.add_ProviderLifecycleServicer_to_server(Lifecycle(), server)
        check_pb2_grpc.add_ProviderCheckServicer_to_server(Check(), server)
        if KIND == "indexeddb" and FAULT not in extensions.FAULTS:
            State.store = stores.Store(Path(os.environ["GESTALT_PLUGIN_SOCKET"]).with_name("store.db"), FAULT)
            State.store.add_to(server)
        server.add_generic_rpc_handlers((extensions.Extensions(),))
    if FAULT == "has_every_method":
        server.add_generic_rpc_handlers((Anything(f"/{PACKAGE}."),))
    health_pb2_grpc.add_HealthServicer_to_server(Health(), server)
    listed = () if FAULT == "lists_no_services" else SERVICES
    reflection.enable_server_reflection(listed, server)
    return server


def exit_when_crowded() -> None:
    while len(list(Path("/proc/self/fd").iterdir())) < 50:
        time.sleep(0.01)
    os._exit(10)


async def main() -> int:
    if KIND == "plugin" and (catalogue := os.environ.get("GESTALT_PLUGIN_WRITE_CATALOG")):
        return operations.write_catalogue(catalogue)
    path = Path(os.environ.get("GESTALT_PLUGIN_SOCKET", ""))
    if not path.name:
        if FAULT == "waits_without_socket":
            await asyncio.sleep(FOREVER_S)
        return 1
    if FAULT == "never_listens":
        await asyncio.sleep(FOREVER_S)
    if FAULT == "exits_at_once":
        sys.stderr.write("the last words of a provider\n")
        return 3
    if path.exists():
        if FAULT == "minds_a_stale_socket":
            return 4
        path.unlink()
    if FAULT == "accepts_and_says_nothing":
        held = []  # else they are closed at once
        async with await asyncio.start_unix_server(lambda reader, writer: held.append(writer), path):
            await asyncio.sleep(FOREVER_S)
    bound = path
    if FAULT == "links_its_socket":
        bound = path.with_name("elsewhere")
        path.symlink_to(bound)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if FAULT == "is_deaf":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    server = make_server()
    if State.store is not None and FAULT == stores.IS_CONFIGURED:
        await State.store.configure()
    server.add_insecure_port(f"unix:{bound}")
    await server.start()
    if FAULT == "dies_of_a_crowd":
        threading.Thread(target=exit_when_crowded, daemon=True).start()
    await stopping.wait()
    if FAULT == "waits_until_it_is_configured" and not State.configured:
        await asyncio.sleep(FOREVER_S)
    await server.stop(0)
    if State.store is not None:
        await State.store.close()
    if FAULT == "leaves_its_socket":
        path.touch()
    else:
        path.unlink(missing_ok=True)
    return 11 if FAULT == "ends_with_an_error" else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
