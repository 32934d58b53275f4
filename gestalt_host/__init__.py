"""The Gestalt host: `gestaltd` (daemon) and `gestalt` (command line)."""

import os

# The daemon spawns providers while gRPC calls are in flight; read when grpc is first imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
