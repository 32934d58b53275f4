"""``python -m gestalt_store``: serve, as the host starts it."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

if __name__ == "__main__":
    from gestalt_sdk.serve import serve
    from gestalt_store.provider import provider

    sys.exit(serve(provider))
