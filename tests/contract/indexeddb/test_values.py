"""Values and keys, where our store does more than the contract asks of every one (contract.md 5.1 to 5.3)."""

from __future__ import annotations

from typing import Any

import pytest

from gestalt_host.verification.suites.indexeddb.client import Code
from gestalt_host.verification.suites.indexeddb.keys import FLOAT
from gestalt_host.verification.suites.indexeddb.messages import Json, bounds, index, key_column, record
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from tests.support.rigs.store import Service


@pytest.mark.parametrize(("given", "kind"), [("x", "string_value"), (2, "float_value"), (True, "bool_value")])
async def test_a_plain_json_value_becomes_the_plain_value(service: Service, given: Any, kind: str) -> None:
    store = await service.new_store(index("by_v", "v"))
    await service.put(store, id="a", v=Json(given))
    answer = (await service.call("Get", pb.ObjectStoreRequest(store=store, id="a"))).record
    assert answer.fields["v"].WhichOneof("kind") == kind
    assert await service.index_keys(store, "by_v", float(given) if kind == "float_value" else given) == ["a"]


async def test_deeply_nested_json_is_kept_and_its_parts_are_indexed(service: Service) -> None:
    nested: Any = 1.0
    for _ in range(60):
        nested = {"d": nested}
    store = await service.new_store(index("deep", ".".join(["v"] + ["d"] * 60)))
    request = pb.RecordRequest(store=store)
    request.record.CopyFrom(record(id="a", v=nested))
    await service.call("Put", request)
    assert await service.index_keys(store, "deep", 1.0) == ["a"]


async def test_forms_of_floats_that_are_ids_and_that_are_none(service: Service) -> None:
    store = await service.new_store(columns=[key_column(FLOAT)])
    await service.put(store, k=1.5)
    assert await service.get(store, "0x1.8p0") == {"k": 1.5}
    for form in ("1_5", " 1.5", "1e999"):
        for method in ("Get", "GetKey", "Delete"):
            code, _ = await service.refused(method, pb.ObjectStoreRequest(store=store, id=form))
            assert code is Code.INVALID_ARGUMENT


ENGINES = ["provider", pytest.param("postgres", marks=pytest.mark.ours("store"))]


@pytest.mark.parametrize("service", ENGINES, indirect=True)
async def test_a_request_up_to_64_mib_is_served_and_larger_lists_name_the_paged_way(service: Service) -> None:
    store = await service.new_store(index("n", "n"))
    for number in range(4):
        await service.put(store, id=f"k{number}", n=number, v=b"x" * (20 << 20))
    answer = await service.call("GetAll", pb.ObjectStoreRangeRequest(store=store, range=bounds(upper="k2")))
    assert len(answer.records) == 3
    code, text = await service.refused("GetAll", pb.ObjectStoreRangeRequest(store=store))
    assert code is Code.RESOURCE_EXHAUSTED
    assert "GetPage" in text
    query = pb.IndexQueryRequest(store=store, index="n")
    code, text = await service.refused("IndexGetAll", query)
    assert code is Code.RESOURCE_EXHAUSTED
    assert "GetPage" in text
    operations: dict[str, Any] = {"get_all": pb.ObjectStoreRangeRequest(store=store), "index_get_all": query}
    for kind, request in operations.items():
        answer = await (await service.transaction(store, mode=0)).attempt(kind, request)
        assert answer.error.code == Code.RESOURCE_EXHAUSTED.value[0]
        assert "GetPage" in answer.error.message
    large = record(id="large", v=b"x" * (65 << 20))
    assert (await service.refused("Put", pb.RecordRequest(store=store, record=large)))[0] is Code.RESOURCE_EXHAUSTED
    cursor = await service.cursor(store)
    assert await cursor.keys() == ["k0", "k1", "k2", "k3"]
    await service.call("DeleteObjectStore", pb.DeleteObjectStoreRequest(name=store))
