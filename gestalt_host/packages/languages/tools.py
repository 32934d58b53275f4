"""Tools of other languages: finding them, running them, and what is said when they fail or are not there."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.running import run_program
from gestalt_sdk.common.printable import printable

BUILD_LIMIT_S = 600
SLOW_S = 10
"""After so long the log says what is being waited for."""
READ_BYTES = 16 * 1024 * 1024
"""Of what a tool answers."""
SHOWN_LINES = 20
"""Of what a tool wrote when it failed, the last."""
SHOWN_CHARS = 4000
NOT_BUILT = "its source cannot be built"
"""Reason for callers, whom neither the source nor the tools of this machine concern."""

log = structlog.get_logger()


def find_tool(name: str, install: str, environ: Mapping[str, str]) -> str:
    """Return the path of a program of the search path.

    Args:
        install: What to install where it is missing, for the message.
    Raises:
        PackageInvalid: it is not there.
    """
    found = shutil.which(name, path=environ.get("PATH"))
    if found is None:
        raise PackageInvalid(f"{name} is not on the search path (PATH); install {install}", NOT_BUILT)
    return found


async def run_tool(
    args: Sequence[str | Path],
    where: Path,
    environ: Mapping[str, str],
    env: Mapping[str, str] | None = None,
    *,
    what: str = "",
    limit_s: float | None = None,
) -> str:
    """Run a tool in the folder to its end, and return what it wrote to standard output.

    Args:
        env: Variables that are added to ``environ``.
        what: What it is run for, for messages; without it the folder and the first words of the command.
        limit_s: None stands for ``BUILD_LIMIT_S``.
    Raises:
        PackageInvalid: it failed, with the last lines that it wrote; or it took longer than it may.
    """
    words = [str(word) for word in args]
    limit_s = BUILD_LIMIT_S if limit_s is None else limit_s
    what = what or f"{where}: {' '.join((Path(words[0]).name, *words[1:2]))}"
    slow = asyncio.get_running_loop().call_later(SLOW_S, _tell_slow, what, limit_s)
    try:
        ended = await run_program(
            words, {**environ, **(env or {})}, limit_s=limit_s, cwd=where, output_bytes=READ_BYTES
        )
    except TimeoutError:
        raise PackageInvalid(f"{what}: took more than {limit_s:g} s", NOT_BUILT) from None
    except OSError as error:
        raise PackageInvalid(f"{what}: {words[0]}: {(error.strerror or str(error)).lower()}", NOT_BUILT) from None
    finally:
        slow.cancel()
    if ended.status != 0:
        raise PackageInvalid(
            f"{what}: failed (exit status {ended.status}){_last_lines(ended.errors or ended.output)}", NOT_BUILT
        )
    return ended.output


def _last_lines(written: str) -> str:
    lines = [printable(line) for line in written.splitlines() if line.strip()][-SHOWN_LINES:]
    return "".join(f"\n  {line}" for line in lines)[-SHOWN_CHARS:]


def _tell_slow(what: str, limit_s: float) -> None:
    log.warning(
        "a source is still being built, and is waited for",
        event_name="build.slow",
        step=what,
        after_s=SLOW_S,
        at_most_s=limit_s,
    )
