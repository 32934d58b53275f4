"""A store as a process, and the client that tests talk to it with; nothing here knows the implementation."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
from google.protobuf.message import Message

from gestalt_host.verification.suites.indexeddb.client import DEADLINE_S, StoreClient
from gestalt_sdk.gen.extension.v1 import schemas_pb2_grpc, scopes_pb2, scopes_pb2_grpc
from gestalt_sdk.gen.v1 import runtime_pb2, runtime_pb2_grpc
from gestalt_sdk.transport.values import to_struct
from tests.support.commands import ROOT, STORE
from tests.support.waiting import until


class StoreProcess:
    """The store under test as a process, configured."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder = folder
        self.config = config
        self.socket = folder / "p.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, configure: bool = True) -> None:
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        environment |= {
            "PYTHONPATH": str(ROOT),
            "GESTALT_PLUGIN_SOCKET": str(self.socket),
            "GESTALT_PLUGIN_PARENT_PID": str(os.getpid()),
            "GESTALT_PLUGIN_NAME": "store",
        }
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(STORE.words(), env=environment, stderr=log, stdin=subprocess.DEVNULL)
        until(lambda: self._running() and self.socket.exists(), within_s=45, what=self.log)
        with self.connect() as channel:
            grpc.channel_ready_future(channel).result(timeout=45)
            if configure:
                self.configure(self.config, channel)

    def _running(self) -> bool:
        """Return true; raise AssertionError, with what the store printed, once its process has ended."""
        assert self.process is not None
        if (status := self.process.poll()) is not None:
            raise AssertionError(f"the store exited with {status}: {self.log()}")
        return True

    def connect(self) -> grpc.Channel:
        return grpc.insecure_channel(f"unix:{self.socket}", options=[("grpc.use_local_subchannel_pool", 1)])

    def configure(self, config: dict[str, Any], channel: grpc.Channel | None = None) -> None:
        if channel is None:
            with self.connect() as own:
                self.configure(config, own)
            return
        runtime_pb2_grpc.ProviderLifecycleStub(channel).ConfigureProvider(
            runtime_pb2.ConfigureProviderRequest(name="store", protocol_version=3, config=to_struct(config)),
            timeout=DEADLINE_S,
        )

    def open_scope(self, db: str, path: Path, *stores: str) -> None:
        with self.connect() as channel:
            scopes_pb2_grpc.IndexedDBScopesStub(channel).OpenScope(
                scopes_pb2.OpenScopeRequest(db=db, socket_path=str(path), object_stores=stores), timeout=DEADLINE_S
            )

    def stop(self, how: int = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def log(self) -> str:
        return (self.folder / "log").read_text()


def short_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder whose path leaves room for socket names."""
    return tempfile.TemporaryDirectory(prefix="gst-", dir="/tmp")


class Service(StoreClient):
    """The client of the rules, and what else tests ask of the service on a socket."""

    def __init__(self, socket: Path, names: Sequence[str] = (), *, scoped: bool = False) -> None:
        """
        Args:
            names: Of the stores that a relay lets through, for ``new_store`` to take from.
        """
        super().__init__(socket, names=names, needs_range=scoped)
        self.schemas = schemas_pb2_grpc.IndexedDBSchemasStub(self.channel)

    async def call(self, method: str, request: Message) -> Any:
        return await self.ask(method, request, Message)


LIMITS = {"lock_wait_s": 3, "transaction_idle_s": 20, "snapshot_idle_s": 20}


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'providers/indexeddb_store'}"}
    return subprocess.run(
        [sys.executable, "-m", "gestalt_store", *arguments], env=environment, capture_output=True, text=True, timeout=60
    )
