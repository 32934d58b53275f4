"""A store that nobody serves: the host is told which one, before it gives up waiting for the provider."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from gestalt_workflow.model.errors import StorageUnavailable
from gestalt_workflow.provider import IndexedDBWorkflowProvider
from gestalt_workflow.stored import format

from gestalt_sdk.transport.environment import INDEXEDDB_SOCKET, WORKFLOW_HOST_SOCKET


@pytest.mark.parametrize("listens", [False, True])
async def test_a_store_that_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listens: bool
) -> None:
    assert format.FIRST_ANSWER_S < 30, "the host waits so long for ConfigureProvider (contract.md 1.3)"
    monkeypatch.setattr(format, "FIRST_ANSWER_S", 0.3)
    path = tmp_path / "store.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        if listens:
            server.listen()
        monkeypatch.setenv(INDEXEDDB_SOCKET, str(path))
        monkeypatch.setenv(WORKFLOW_HOST_SOCKET, str(tmp_path / "host.sock"))
        provider = IndexedDBWorkflowProvider()
        with pytest.raises(StorageUnavailable) as refused:
            await provider.configure("flows", {})
        await provider.close()
    assert str(refused.value).startswith(f"{INDEXEDDB_SOCKET} ({path}): read format: ")
    assert "has not answered within 0.3 s" in str(refused.value)
