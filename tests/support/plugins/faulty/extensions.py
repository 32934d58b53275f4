"""The extensions that the minimal provider announces, each empty, with the fault that the variable FAULT names."""

from __future__ import annotations

import os
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

FAULT = os.environ.get("FAULT", "")
CAPABILITIES = [
    "provider.metrics",
    *{
        "indexeddb": ["indexeddb.batch", "indexeddb.scopes", "indexeddb.migrations"],
        "workflow": ["workflow.slots", "workflow.queries", "workflow.timeline", "workflow.events"],
    }.get(os.environ["KIND"], []),
]
LACKING = {
    "lacks_metrics": "ReadMetrics",
    "lacks_batches": "GetPage",
    "lacks_slots": "PreviewSlots",
    "lacks_timelines": "GetRunTimeline",
}
TAKING_NOISE = {"takes_noise_for_a_scope": "OpenScope", "takes_noise_for_a_query": "QueryRuns"}
STUMBLING = {"stumbles_over_migrations": "GetMigration", "stumbles_over_events": "ReplayEvent"}
FAULTS = {*LACKING, *TAKING_NOISE, *STUMBLING}


class Extensions(grpc.GenericRpcHandler):
    """Answers every method of an extension; nothing is behind them."""

    def service(self, details: Any) -> Any:
        method = details.method.rpartition("/")[2]
        if not details.method.startswith("/gestalt.extension.v1.") or LACKING.get(FAULT) == method:
            return None

        async def handle(request: Any, context: Any) -> bytes:
            if STUMBLING.get(FAULT) == method:
                raise KeyError("nothing was asked for")
            return b""

        read = None if TAKING_NOISE.get(FAULT) == method else Empty.FromString
        return grpc.unary_unary_rpc_method_handler(handle, request_deserializer=read)
