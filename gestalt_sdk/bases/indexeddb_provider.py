"""Writing an IndexedDB provider: an ``IndexedDBProvider`` with a servicer of the contract's IndexedDB service.

``batch_servicer`` and ``scopes_servicer`` add the optional extensions, and their capability names, when overridden.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import grpc

from gestalt_sdk.bases.provider import Provider, ProviderKind
from gestalt_sdk.gen.extension.v1.datastore_pb2_grpc import (
    IndexedDBBatchServicer,
    IndexedDBScopesServicer,
    add_IndexedDBBatchServicer_to_server,
    add_IndexedDBScopesServicer_to_server,
)
from gestalt_sdk.gen.v1.datastore_pb2_grpc import IndexedDBServicer, add_IndexedDBServicer_to_server

__all__ = [
    "BATCH_SERVICE",
    "SCOPES_SERVICE",
    "SERVICE",
    "IndexedDBBatchServicer",
    "IndexedDBProvider",
    "IndexedDBScopesServicer",
    "IndexedDBServicer",
]

SERVICE = "gestalt.provider.v1.IndexedDB"
BATCH_SERVICE = "gestalt.extension.v1.IndexedDBBatch"
SCOPES_SERVICE = "gestalt.extension.v1.IndexedDBScopes"


class IndexedDBProvider(Provider):
    kind: ClassVar[ProviderKind] = ProviderKind.INDEXEDDB

    def servicer(self) -> IndexedDBServicer:
        """The service; asked for once, before ``configure``."""
        raise NotImplementedError

    def batch_servicer(self) -> IndexedDBBatchServicer | None:
        return None

    def scopes_servicer(self) -> IndexedDBScopesServicer | None:
        return None

    def register(self, server: grpc.aio.Server) -> Sequence[str]:
        add_IndexedDBServicer_to_server(self.servicer(), server)
        services, capabilities = [SERVICE], set(self.capabilities)
        batch, scopes = self.batch_servicer(), self.scopes_servicer()
        if batch is not None:
            add_IndexedDBBatchServicer_to_server(batch, server)
            services.append(BATCH_SERVICE)
            capabilities.add("indexeddb.batch")
        if scopes is not None:
            add_IndexedDBScopesServicer_to_server(scopes, server)
            services.append(SCOPES_SERVICE)
            capabilities.add("indexeddb.scopes")
        self.capabilities = tuple(sorted(capabilities))
        return services
