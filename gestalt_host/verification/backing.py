"""The store that stands behind the IndexedDB service of providers under test: ours, a scope of it for each launch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from gestalt_host.config.errors import Place
from gestalt_host.config.model import ProviderEntry, Source, SourceMode
from gestalt_host.hostservices.indexeddb_relay import indexeddb_relay
from gestalt_host.packages import Workplace, prepare
from gestalt_host.supervisor import ProviderSpec, Store
from gestalt_sdk.bases.provider import ProviderKind

BUILTIN = "indexeddb_store"


@asynccontextmanager
async def backing_store(directory: Path, environ: Mapping[str, str]) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """Give what returns the path of a new socket each time, behind which is an IndexedDB service that is empty.

    The store is started when it is first needed, and ended at the end; its file is in the directory.
    """
    started: list[Store] = []
    numbers = count(1)
    starting = asyncio.Lock()

    async def new_socket() -> str:
        async with starting:
            if not started:
                started.append(await _started(directory, environ))
        return (await started[0].bind(f"verified_{next(numbers)}")).socket

    try:
        yield new_socket
    finally:
        for store in started:
            await store.stop()


async def _started(directory: Path, environ: Mapping[str, str]) -> Store:
    config = {"dsn": f"sqlite://{directory}/store.db"}
    entry = ProviderEntry("indexeddb", "verification", Source(SourceMode.BUILTIN, builtin=BUILTIN), Place(BUILTIN))
    launchable = await prepare(entry, Workplace(directory, directory), environ)
    assert launchable.command is not None
    spec = ProviderSpec(entry.name, ProviderKind.INDEXEDDB, launchable.command, config)
    store = Store(spec, launchable.manifest.source, indexeddb_relay, environ)
    await store.start()
    return store
