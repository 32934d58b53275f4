"""Programs that a release is made with, run to their end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from gestalt_host.packages.errors import PackageInvalid
from gestalt_sdk.common.printable import printable

TIMEOUT_S = 1800
"""A first build downloads and compiles what later ones find."""
SHOWN_LINES = 12
"""Of what a tool that failed wrote last."""


async def run_tool(what: str, words: Sequence[str | Path], *, cwd: Path, environ: Mapping[str, str]) -> str:
    """Run a program and return what it wrote on stdout and stderr together.

    It leads a process group, which ends with this call however it ends.

    Args:
        what: What it is run for, for messages.
    Raises:
        PackageInvalid: it cannot be started, takes too long or fails; with its last lines.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *map(str, words),
            cwd=cwd,
            env=dict(environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise PackageInvalid(f"{what}: {words[0]}: {(error.strerror or str(error)).lower()}") from None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            output = (await process.communicate())[0].decode(errors="replace")
    except TimeoutError:
        raise PackageInvalid(f"{what}: took more than {TIMEOUT_S} s") from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        last = [printable(line) for line in output.splitlines() if line.strip()][-SHOWN_LINES:]
        raise PackageInvalid("\n  ".join((f"{what}: exit status {process.returncode}", *last)))
    return output
