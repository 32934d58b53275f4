"""The API over a host in memory: called directly, and listening on a port."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from gestalt_host.http.app import create_app
from gestalt_host.http.listener import Listener
from tests.support.fakes.host import FakeHost, fake_host


@pytest.fixture
async def host() -> AsyncIterator[FakeHost]:
    found = fake_host()
    yield found
    await found.manager.close()


@pytest.fixture
async def api(host: FakeHost) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, without a network between."""
    transport = httpx.ASGITransport(create_app(host.services()))
    async with httpx.AsyncClient(transport=transport, base_url="http://gestalt.test") as client:
        yield client


@pytest.fixture
async def listener(host: FakeHost) -> AsyncIterator[Listener]:
    async with Listener(create_app(host.services(metrics=True)), "127.0.0.1", 0) as found:
        yield found
