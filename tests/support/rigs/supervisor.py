from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from gestalt_host.packages import LaunchCommand
from gestalt_host.supervisor import ProviderProcess, ProviderSpec, Timings
from gestalt_sdk.bases.provider import ProviderKind

QUICK = Timings(start_timeout_s=20, backoff_initial_s=0.02, backoff_cap_s=0.2, stable_after_s=60)


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., LaunchCommand]:
    """Writes a Python program and returns the command that runs it."""

    def write(source: str, name: str = "provider.py") -> LaunchCommand:
        path = tmp_path / name
        path.write_text(textwrap.dedent(source))
        return LaunchCommand((sys.executable, str(path)))

    return write


@pytest.fixture
async def launched() -> AsyncIterator[Callable[..., Awaitable[ProviderProcess]]]:
    """Starts a provider process; stops all of them after the test."""
    processes: list[ProviderProcess] = []

    async def launch(
        command: LaunchCommand, kind: ProviderKind = ProviderKind.WORKFLOW, timings: Timings = QUICK, **spec: object
    ) -> ProviderProcess:
        process = new_process(command, kind, timings, **spec)
        processes.append(process)
        await process.start()
        return process

    yield launch
    for process in processes:
        await process.stop(1)


def new_process(
    command: LaunchCommand, kind: ProviderKind = ProviderKind.WORKFLOW, timings: Timings = QUICK, **spec: object
) -> ProviderProcess:
    spec.setdefault("name", "local")
    return ProviderProcess(ProviderSpec(kind=kind, command=command, **spec), timings=timings)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_directory_left() -> Iterator[None]:
    before = set(own_directories())
    yield
    assert set(own_directories()) <= before


def own_directories() -> list[Path]:
    found = []
    for path in Path("/tmp").glob("gstp-*"):
        try:
            owner = (path / "owner").read_text().split()[0]
        except (OSError, IndexError):
            continue
        if owner == str(os.getpid()):
            found.append(path)
    return found


WORKFLOW = """
    import asyncio, json, os, pathlib, sys
    from gestalt_sdk.bases.provider import Provider, ProviderKind
    from gestalt_sdk.serving.process import serve

    class Recording(Provider):
        kind = ProviderKind.WORKFLOW
        display_name = "Recording"
        version = "1.2.3"
        capabilities = ("workflow.retarget",)

        def register(self, server):
            return []

        def note(self, what, **more):
            with open(pathlib.Path(__file__).with_suffix(".log"), "a") as out:
                out.write(json.dumps({"what": what, "pid": os.getpid(), **more}) + chr(10))

        async def configure(self, name, config):
            if config.get("refuse"):
                raise ValueError(config["refuse"])
            self.warnings = ["unknown key: x"] if "x" in config else []
            self.note("configure", name=name, config=config, env=dict(os.environ))

        async def start(self):
            self.note("start")

        async def drain(self):
            self.note("drain")

    if __name__ == "__main__":
        sys.exit(serve(Recording))
"""
