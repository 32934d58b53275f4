"""Run a provider as a process: listen, announce, log, stop."""

from typing import TYPE_CHECKING

from gestalt_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from gestalt_sdk.serving.event_loop import run_event_loop as run_event_loop
    from gestalt_sdk.serving.logs import configure_logging as configure_logging
    from gestalt_sdk.serving.process import serve as serve
else:
    __getattr__, __all__ = lazy_names(
        __name__,
        {
            "logs": "configure_logging",
            "event_loop": "run_event_loop",
            "process": "serve",
        },
    )
