from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.rigs.workflow import Rig, Workflow, open_rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with open_rig() as opened:
        yield opened


@pytest.fixture
async def workflow(rig: Rig) -> Workflow:
    """A started provider."""
    return await rig.provider()
