"""Share what every room of the SDK may use."""

from typing import TYPE_CHECKING

from gestalt_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from gestalt_sdk.common.backoff import Backoff as Backoff
    from gestalt_sdk.common.process_identity import ProcessIdentity as ProcessIdentity
else:
    __getattr__, __all__ = lazy_names(
        __name__,
        {
            "backoff": "Backoff",
            "process_identity": "ProcessIdentity",
        },
    )
