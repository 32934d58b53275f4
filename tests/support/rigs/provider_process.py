"""A provider written for one test and served as a real process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import grpc

from gestalt_sdk.transport.channels import open_channel
from gestalt_sdk.transport.environment import Address
from tests.support.commands import ROOT
from tests.support.waiting import eventually


@dataclass
class ProviderProcess:
    """A running provider: its process, its socket, and one channel to it."""

    process: asyncio.subprocess.Process
    socket: Path
    channel: grpc.aio.Channel
    stderr: list[str] = field(default_factory=list)

    async def stopped(self, within_s: float = 10) -> int:
        """Exit status once the process has ended."""
        async with asyncio.timeout(within_s):
            return await self.process.wait()

    async def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.stopped()


def provider_environment(**variables: str) -> dict[str, str]:
    """A provider's environment, built from scratch as a host does."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {**inherited, "PYTHONPATH": str(ROOT), **variables}


@asynccontextmanager
async def provider_process(
    root: Path, source: str, kind: str, *, target: str = "probe:provider", variables: Mapping[str, str] | None = None
) -> AsyncIterator[ProviderProcess]:
    """Write ``source`` to ``root/probe.py``, serve it, and kill what is left of it at the end."""
    (root / "probe.py").write_text(dedent(source))
    with tempfile.TemporaryDirectory(prefix="gst-", dir="/tmp") as folder:
        socket = Path(folder) / "p.sock"
        environment = provider_environment(
            GESTALT_PLUGIN_SOCKET=str(socket), GESTALT_PLUGIN_PARENT_PID=str(os.getpid()), **(variables or {})
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gestalt_sdk.run",
            str(root),
            target,
            kind,
            env=environment,
            stderr=asyncio.subprocess.PIPE,
        )
        channel = open_channel(Address(f"unix:{socket}"))
        running = ProviderProcess(process, socket, channel)
        reading = asyncio.create_task(_collect(process, running.stderr))
        try:
            await eventually(lambda: _listening_or_ended(running))
            yield running
        finally:
            await channel.close()
            if process.returncode is None:
                process.kill()
            await process.wait()
            await reading


async def _collect(process: asyncio.subprocess.Process, lines: list[str]) -> None:
    assert process.stderr is not None
    async for line in process.stderr:
        lines.append(line.decode())


async def _listening_or_ended(running: ProviderProcess) -> bool | None:
    if running.process.returncode is not None:
        raise AssertionError(f"the provider ended with {running.process.returncode}: {''.join(running.stderr)}")
    return True if running.socket.exists() else None
