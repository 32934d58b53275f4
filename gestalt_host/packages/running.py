"""Programs that are run for a package and are to end by themselves: build tools, and plugins that write a catalogue.

Each leads a process group, which ends with the program, after a time limit, when the host does not want it any more,
and with the host itself, however that ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gestalt_sdk.common import group_keeper

KEPT_BYTES = 64 * 1024
"""Of what a program writes to standard error; the last of it is shown when it fails."""
DRAIN_S = 1.0
"""A process that left the group may hold the output open; it is not waited for longer."""
_GATE = ("/bin/sh", "-c", 'read -r line && exec "$0" "$@" </dev/null')
"""Becomes the program once its group is known to the keeper, and ends if the host has gone before."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Attributes:
        status: Exit status, negative for a signal.
        output: The last that it wrote to standard output, where that was asked for.
        errors: The last ``KEPT_BYTES`` that it wrote to standard error.
    """

    status: int
    output: str
    errors: str


async def run_program(
    args: Sequence[str], env: Mapping[str, str], *, limit_s: float, cwd: Path | None = None, output_bytes: int = 0
) -> Ended:
    """Run the program to its end; nothing that it has started is left afterwards.

    Args:
        limit_s: How long it may take.
        output_bytes: How much of its standard output is wanted, the last of it.
    Raises:
        TimeoutError: it took longer, and was ended.
        FileNotFoundError: it is not there, or not executable.
    """
    if not os.access(args[0], os.X_OK):
        raise FileNotFoundError(errno.ENOENT, "is not an executable file", args[0])
    async with _keeper() as keeper, _pipe() as errors, _pipe() as written:
        process = await asyncio.create_subprocess_exec(
            *(*_GATE, *args),
            stdin=asyncio.subprocess.PIPE,
            stdout=written.writer if output_bytes else asyncio.subprocess.DEVNULL,
            stderr=errors.writer,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )
        errors.close_writer()
        written.close_writer()
        read = [
            asyncio.create_task(_last_of(written.reader, output_bytes)),
            asyncio.create_task(_last_of(errors.reader, KEPT_BYTES)),
        ]
        try:
            keeper.write(f"+{process.pid}\n".encode())
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.close()
            async with asyncio.timeout(limit_s):
                await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # what it has started ends with it
            await process.wait()
            keeper.write(f"-{process.pid}\n".encode())
        await asyncio.wait(read, timeout=DRAIN_S)
        texts = [task.result() if task.done() else "" for task in read]
    return Ended(process.returncode or 0, *texts)


class _Pipe:
    # Not a pipe of the subprocess module: waiting for a process would then wait for everybody who holds it.
    def __init__(self) -> None:
        self._read, self.writer = os.pipe()
        self.reader = asyncio.StreamReader()
        self._transport: asyncio.BaseTransport | None = None

    async def open(self) -> None:
        file = os.fdopen(self._read, "rb", buffering=0)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(self.reader), file)

    def close_writer(self) -> None:
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def close(self) -> None:
        self.close_writer()
        if self._transport is not None:
            self._transport.close()


@asynccontextmanager
async def _pipe() -> AsyncIterator[_Pipe]:
    pipe = _Pipe()
    try:
        await pipe.open()
        yield pipe
    finally:
        pipe.close()


async def _last_of(stream: asyncio.StreamReader, kept_bytes: int) -> str:
    """Read to the end; return the last of it, however much it was."""
    kept = b""
    while data := await stream.read(KEPT_BYTES):
        kept = (kept + data)[-kept_bytes:]
    return kept.decode(errors="replace")


@asynccontextmanager
async def _keeper() -> AsyncIterator[asyncio.StreamWriter]:
    """Give what is written to in order to have groups ended when this process has gone (``group_keeper``)."""
    keeper = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(Path(group_keeper.__file__))),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        start_new_session=True,
    )
    assert keeper.stdin is not None
    try:
        yield keeper.stdin
    finally:
        keeper.stdin.close()
        await keeper.wait()
