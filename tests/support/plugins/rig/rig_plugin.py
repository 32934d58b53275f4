"""A measuring plugin: what the recordings and the benchmarks invoke. Served under any name, several times.

Its operations take any parameter, as in the recordings.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from gestalt_sdk.plugin import Plugin, Request, operation


class RigPlugin(Plugin):
    display_name = "Rig plugin"
    description = "A measuring plugin"
    version = "0.1.0"

    async def configure(self, name: str, config: dict[str, Any]) -> None:
        self._name = name

    @operation("noop", title="Noop")
    async def noop(
        self, request: Request, mode: str | None = None, n: int | None = None, sleep: int | None = None, **rest: Any
    ) -> dict[str, Any]:
        if sleep:
            await asyncio.sleep(sleep / 1000)
        return {"name": self._name, "subject": request.subject.id, "at": _now()}

    @operation("fail", title="Fail")
    async def fail(
        self, request: Request, mode: str | None = None, n: int | None = None, sleep: int | None = None, **rest: Any
    ) -> dict[str, Any]:
        raise RuntimeError("the rig plugin fails when asked to")

    @operation("sync", title="Sync")
    async def sync(
        self, request: Request, mode: str | None = None, n: int | None = None, sleep: int | None = None, **rest: Any
    ) -> dict[str, Any]:
        await request.workflows().publish_event("roadmap.sync.completed", source="roadmap")
        return await self.noop(request, mode, n, sleep)


def _now() -> str:
    """RFC 3339 in UTC, the fraction without trailing zeros."""
    text = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return text.rstrip("0").rstrip(".") + "Z"


provider = RigPlugin
