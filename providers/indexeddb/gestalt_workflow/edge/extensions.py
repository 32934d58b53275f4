"""Serve the three services that extend the contract: slots, queries and kept events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import grpc

from gestalt_sdk.gen.extension.v1.events_pb2_grpc import add_WorkflowEventsServicer_to_server
from gestalt_sdk.gen.extension.v1.queries_pb2_grpc import add_WorkflowQueriesServicer_to_server
from gestalt_sdk.gen.extension.v1.slots_pb2_grpc import add_WorkflowSlotsServicer_to_server
from gestalt_workflow.edge import events_service, queries_service, slots_service
from gestalt_workflow.engine import Engine

Server: TypeAlias = grpc.aio.Server


def add_extensions(server: Server, engine: Callable[[], Engine]) -> Sequence[str]:
    """Serve them on the server and return their full names; ``engine`` may raise ``NotConfigured``."""
    add_WorkflowSlotsServicer_to_server(slots_service.SlotsServicer(engine), server)
    add_WorkflowQueriesServicer_to_server(queries_service.QueryServicer(engine), server)
    add_WorkflowEventsServicer_to_server(events_service.EventServicer(engine), server)
    return [slots_service.SERVICE, queries_service.SERVICE, events_service.SERVICE]
