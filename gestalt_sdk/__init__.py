"""What the author of a Gestalt provider imports.

Owns the contract's process rules (sockets, lifecycle, signals), typed clients for the services a provider dials, and
the conversion between protobuf values and Python's own. Knows nothing about the host.
"""

import os

# A process that spawns children while gRPC calls are in flight loses them to SIGSEGV with the fork handlers on; the
# variable is read when grpc is first imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
