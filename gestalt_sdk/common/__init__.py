"""Share what every room of the SDK may use."""

from typing import TYPE_CHECKING

from gestalt_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from gestalt_sdk.common.backoff import Backoff as Backoff
    from gestalt_sdk.common.beats import Beat as Beat
    from gestalt_sdk.common.beats import Beats as Beats
    from gestalt_sdk.common.loops import keep_running as keep_running
    from gestalt_sdk.common.process_identity import ProcessIdentity as ProcessIdentity
    from gestalt_sdk.common.texts import cut as cut
else:
    __getattr__, __all__ = lazy_names(
        __name__,
        {
            "backoff": "Backoff",
            "beats": "Beat Beats",
            "loops": "keep_running",
            "process_identity": "ProcessIdentity",
            "texts": "cut",
        },
    )
