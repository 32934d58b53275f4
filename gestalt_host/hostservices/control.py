"""HostControl: what the user that runs this host may ask it on this machine (control.proto, decision 49)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

import grpc
import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from grpc_health.v1 import health, health_pb2

from gestalt_host.access.subjects import Principal
from gestalt_host.access.tokens.invocation_tokens import Delegation, InvocationTokens
from gestalt_host.errors import HostError, quoted
from gestalt_host.supervisor.about import DECLARATIVE, HOST, About, HostAbout, SocketAbout, write_about
from gestalt_host.supervisor.directories import make_directory, remove_directory, restore_directory
from gestalt_host.supervisor.output.recent import Ended, Entry, LeftOut, Line, RecentOutput, Started, read
from gestalt_host.supervisor.reports import ProviderReport
from gestalt_sdk.gen.extension.v1 import control_pb2 as pb
from gestalt_sdk.gen.extension.v1 import control_pb2_grpc
from gestalt_sdk.serving.process import add_health_and_reflection, bind
from gestalt_sdk.transport.channels import SERVER_OPTIONS, ServerContext
from gestalt_sdk.transport.faults import end_call

SERVICE = "gestalt.extension.v1.HostControl"
SOCKET = "control.sock"
TOKEN_LIFETIME_S = 60.0
STOP_GRACE_S = 1.0
_NANOS = 1_000_000_000

log = structlog.get_logger()

Issuer = tuple[InvocationTokens, Principal]
"""What makes tokens, and whom they are for."""


class HostControlServicer(control_pb2_grpc.HostControlServicer):
    def __init__(
        self,
        providers: Callable[[], Sequence[ProviderReport]],
        outputs: Callable[[str, str], Sequence[RecentOutput]],
        issuer: Callable[[], Issuer | None],
    ) -> None:
        """
        Args:
            providers: Every configured provider.
            outputs: What the processes of the provider of that kind and name wrote; empty where it has none.
            issuer: None while the host is starting.
        """
        self._providers = providers
        self._outputs = outputs
        self._issuer = issuer

    async def ListProviders(self, request: pb.ListProvidersRequest, context: ServerContext) -> pb.ListProvidersResponse:
        return pb.ListProvidersResponse(providers=[_summary(report) for report in self._providers()])

    async def StreamLog(self, request: pb.StreamLogRequest, context: ServerContext) -> AsyncIterator[pb.LogEntry]:
        await self._require(context, request.kind, request.name)
        outputs = self._outputs(request.kind, request.name)
        shown = f"{request.kind} {quoted(request.name)}"
        if not outputs:
            reason = self._reason(request.kind, request.name)
            await end_call(context, StatusCode.FAILED_PRECONDITION, f"{shown} has no process: {reason}")
        async with aclosing(read(outputs, request.lines, request.follow)) as entries:
            async for entry in entries:
                yield _entry(entry)
        if request.follow:
            reason = self._reason(request.kind, request.name)
            await end_call(context, StatusCode.ABORTED, f"{shown} writes no more: {reason}")

    async def IssueInvocationToken(
        self, request: pb.IssueInvocationTokenRequest, context: ServerContext
    ) -> pb.IssueInvocationTokenResponse:
        await self._require(context, "plugin", request.plugin)
        issuer = self._issuer()
        if issuer is None:
            await end_call(context, StatusCode.FAILED_PRECONDITION, "the host is starting, and cannot make tokens yet")
            raise AssertionError("unreachable")
        tokens, user = issuer
        token = tokens.mint(request.plugin, Delegation(principal=user), TOKEN_LIFETIME_S)
        expires = time.time() + TOKEN_LIFETIME_S
        log.warning(
            "an invocation token was issued on the control socket",
            event_name="token.issued",
            plugin=request.plugin,
            subject=user.subject_id,
            lifetime_s=TOKEN_LIFETIME_S,
        )
        return pb.IssueInvocationTokenResponse(invocation_token=token, expires_at=_stamp(expires))

    async def _require(self, context: ServerContext, kind: str, name: str) -> None:
        reports = self._providers()
        if not any((report.kind, report.name) == (kind, name) for report in reports):
            known = ", ".join(f"{report.kind}/{report.name}" for report in reports) or "none"
            await end_call(context, StatusCode.NOT_FOUND, f"there is no {kind}/{name} here; configured are {known}")

    def _reason(self, kind: str, name: str) -> str:
        for report in self._providers():
            if (report.kind, report.name) == (kind, name):
                return DECLARATIVE if report.runtime == "declarative" else report.reason or f"it is {report.state}"
        return "it is not configured"


class ControlSocket:
    """Serves HostControl in a directory of its own, which goes when the host ends."""

    def __init__(self, servicer: HostControlServicer, about: HostAbout) -> None:
        self._servicer = servicer
        self._about = About(about, HOST, HOST)
        self._directory: Path | None = None
        self._server: grpc.aio.Server | None = None

    @property
    def path(self) -> Path | None:
        """The socket, None while nobody serves it."""
        return None if self._directory is None else self._directory / SOCKET

    async def start(self) -> None:
        """Serve.

        Raises:
            HostError: no directory can be made for it.
        """
        self._directory = make_directory(self._about.label)
        await self._serve(self._directory)

    async def restore(self) -> None:
        """Serve again where somebody has removed the socket; what keeps it from that is logged."""
        if self._directory is None or (self._directory / SOCKET).exists():
            return
        log.warning("the control socket has been removed, and is made again", event_name="control.restored")
        if self._server is not None:
            await self._server.stop(STOP_GRACE_S)
        try:
            restore_directory(self._directory)
            await self._serve(self._directory)
        except (HostError, OSError, RuntimeError) as error:
            log.warning("the control socket cannot be made again", event_name="control.not_restored", error=str(error))

    async def stop(self) -> None:
        """Let calls under way end soon, and remove the directory."""
        if self._server is not None:
            await self._server.stop(STOP_GRACE_S)
        self.remove()

    def remove(self) -> None:
        """Remove the directory at once."""
        if self._directory is not None:
            remove_directory(self._directory)

    async def _serve(self, directory: Path) -> None:
        server = self._server = grpc.aio.server(options=SERVER_OPTIONS)
        control_pb2_grpc.add_HostControlServicer_to_server(self._servicer, server)
        checks = health.aio.HealthServicer()
        await checks.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
        add_health_and_reflection(server, checks, [SERVICE])
        path = directory / SOCKET
        bind(server, f"unix:{path}")
        await server.start()
        write_about(directory, _with_socket(self._about, path))


def _with_socket(about: About, path: Path) -> About:
    return About(about.host, about.kind, about.name, (SocketAbout(str(path), (SERVICE,), HOST),))


def _summary(report: ProviderReport) -> pb.ProviderSummary:
    return pb.ProviderSummary(
        kind=report.kind,
        name=report.name,
        state=report.state,
        reason=report.reason,
        pid=report.pid or 0,
        restarts=report.restarts,
        runtime=report.runtime,
    )


def _entry(entry: Entry) -> pb.LogEntry:
    found = pb.LogEntry(time=_stamp(entry.at), pid=entry.pid)
    match entry.what:
        case Line(stream, text, is_cut):
            found.line.CopyFrom(pb.LogLine(stream=stream, text=text, is_cut=is_cut))
        case Started():
            found.started.SetInParent()
        case Ended(how):
            found.ended.how = how
        case LeftOut(lines):
            found.left_out.lines = lines
    return found


def _stamp(seconds: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromNanoseconds(int(seconds * _NANOS))
    return stamp
