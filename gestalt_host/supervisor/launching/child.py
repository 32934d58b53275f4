"""One operating-system process: spawning it as a direct child, waiting for it, ending it and all it started."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from gestalt_host.supervisor.errors import ProviderStartFailed
from gestalt_host.supervisor.output import ProcessOutput, ProviderOutput

SPAWN_ATTEMPTS = 5
BUSY_WAIT_S = 0.1
FRESH_S = 10.0


class Child:
    """A running or ended child process. It leads a session of its own, so that Ctrl-C reaches only the host."""

    def __init__(self, process: asyncio.subprocess.Process, output: ProcessOutput) -> None:
        self._process = process
        self.ended_because = ""
        """Why the host has ended it, in words of the host; blank when it did not."""
        self._ending = asyncio.create_task(self._end(output), name=f"end of process {process.pid}")

    @classmethod
    async def spawn(cls, args: Sequence[str], env: Mapping[str, str], output: ProviderOutput) -> Child:
        """Start the command: null stdin, pipes to ``output`` as stdout and stderr, the host's working directory.

        Raises:
            ProviderStartFailed: it cannot be executed.
        """
        try:
            pipes = output.begin()
        except OSError as error:
            raise _not_executed(args[0], error) from error
        try:
            process = await _execute(args, env, pipes.writers)
        except BaseException:
            pipes.close_writers()
            pipes.end()
            raise
        pipes.close_writers()
        pipes.started(process.pid)
        return cls(process, pipes)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def wait(self) -> int:
        """Await the end and what was written until then; return the exit status, negative for a signal."""
        return await asyncio.shield(self._ending)

    def describe_exit(self) -> str:
        """Describe how it ended, for messages: ``exit status 3``, ``signal SIGKILL``."""
        code = self._process.returncode
        if code is None:
            return "running"
        if code >= 0:
            return f"exit status {code}"
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"

    async def stop(self, grace_s: float) -> int:
        """Send SIGTERM, wait up to ``grace_s``, send SIGKILL; return the exit status once the process is reaped."""
        if self.running:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self._process.wait()
        self.kill()
        return await self.wait()

    async def _end(self, output: ProcessOutput) -> int:
        try:
            return await self._process.wait()
        finally:
            because = f": {self.ended_because}" if self.ended_because else ""
            output.end("" if self.running else f"{self.describe_exit()}{because}")

    def end(self, reason: str) -> None:
        """Note why the host ends it, and kill it."""
        self.ended_because = reason
        self.kill()

    def kill(self) -> None:
        """Send SIGKILL to the process and to whatever else is in its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self.running:
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)


async def _execute(args: Sequence[str], env: Mapping[str, str], outputs: tuple[int, int]) -> asyncio.subprocess.Process:
    stdout, stderr = outputs
    for attempt in range(1, SPAWN_ATTEMPTS + 1):
        try:
            return await asyncio.create_subprocess_exec(
                *dying_with_the_host(args),
                env=dict(env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        except OSError as error:
            # ETXTBSY: another process still writes the file, for example while it copies an executable.
            if error.errno != errno.ETXTBSY or attempt == SPAWN_ATTEMPTS:
                raise _not_executed(args[0], error) from error
            await asyncio.sleep(BUSY_WAIT_S * attempt)
    raise AssertionError("unreachable")


def _not_executed(program: str, error: OSError) -> ProviderStartFailed:
    cause = error.strerror or str(error)
    return ProviderStartFailed(f"cannot execute {program}: {cause}", reason=f"its program cannot be executed: {cause}")


def dying_with_the_host(args: Sequence[str]) -> Sequence[str]:
    """Put ``setpriv`` before the command: it asks Linux for SIGTERM at the host's death, then becomes the command.

    Not every SDK watches its parent. Asking between fork and exec in Python is not safe in a process with threads.
    """
    wrapper = _setpriv()
    if wrapper is None or not os.access(args[0], os.X_OK) or _is_fresh(args[0]):
        return args
    return (wrapper, "--pdeathsig", "TERM", "--", *args)


def _is_fresh(path: str) -> bool:
    # Behind a wrapper ETXTBSY would be the wrapper's failure, which cannot be told from others and tried again.
    return time.time() - Path(path).stat().st_mtime < FRESH_S


@cache
def _setpriv() -> str | None:
    return shutil.which("setpriv") if sys.platform == "linux" else None
