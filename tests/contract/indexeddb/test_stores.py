"""Object stores, where our store does more than the contract asks of every one (contract.md 5.3)."""

from __future__ import annotations

from gestalt_host.verification.suites.indexeddb.client import Code
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from tests.support.rigs.store import Service


async def test_a_refusal_of_something_long_arrives_with_its_code(service: Service) -> None:
    store = await service.new_store()
    for name in ("x" * 5000, "é" * 5000):
        code, text = await service.refused("IndexCount", pb.IndexQueryRequest(store=store, index=name))
        assert (code, text[:17]) == (Code.NOT_FOUND, "index not found: ")
