"""Log as every Gestalt process does: one JSON object a line on stderr; stdout is for what a program prints.

Logging never raises into what logs and never delays it: a line that cannot be written is dropped (``LineSink``).
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import ParamSpec

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from gestalt_sdk.common.printable import printable_json
from gestalt_sdk.common.requests import current_request_id
from gestalt_sdk.serving.sink import LineSink
from gestalt_sdk.serving.streams import SINKS, standard_descriptor
from gestalt_sdk.serving.streams import tell as tell

_STDERR = 2
_METHODS = ("debug", "info", "warning", "warn", "error", "critical", "fatal", "exception", "log", "msg")
P = ParamSpec("P")


Fields = Mapping[str, object]
_render: Callable[[Fields], str] | None = None
"""What makes the text of a line of its fields; None: JSON."""


def configure_logging(
    process: str, *, level: int = logging.INFO, render: Callable[[Fields], str] | None = None
) -> None:
    """Send structlog and standard logging to stderr as JSON lines that carry ``process``.

    Args:
        render: Makes the text of a line of its fields, for somebody who reads along; without it JSON.

    Descriptors 0 to 2 are open afterwards, so that no file or socket is opened as one of them and written to.
    """
    global _render
    _render = render
    sink = _sink(process)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _names(process),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_serialise)],
        wrapper_class=_never_raising(structlog.make_filtering_bound_logger(level), sink),
        logger_factory=lambda *_: _SinkLogger(sink),
        cache_logger_on_first_use=True,
    )
    handler = _SinkHandler(sink)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processor=structlog.processors.JSONRenderer(serializer=_serialise), foreign_pre_chain=shared
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def now() -> str:
    """Return the time as lines of the log have it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def write_line(fields: Mapping[str, object]) -> bool:
    """Write a line that another process has said, as it is; return False, and count nothing, when that is not possible.

    Half of what may wait to be written is kept for the lines of this process.
    """
    try:
        line = _serialise(fields)
    except Exception:  # for example nested too deeply
        return False
    if not SINKS:
        tell(line)
        return True
    return SINKS[-1].offer(line)


def _sink(process: str) -> LineSink:
    def notice(dropped: int) -> str:
        text = "lines of the log could not be written and were dropped"
        fields = {"event": text, "event_name": "log.dropped", "dropped": dropped}
        return _serialise({**fields, "process": process, "level": "warning", "timestamp": now()})

    standard_descriptor(0)
    standard_descriptor(1)
    sink = LineSink(standard_descriptor(_STDERR), notice)
    SINKS.append(sink)
    return sink


def _names(process: str) -> Processor:
    """Return what says whose line it is, in every thread, and which request of a client it belongs to."""

    def name(_logger: object, _method: str, event: EventDict) -> EventDict:
        event.setdefault("process", process)
        if request_id := current_request_id():
            event.setdefault("request_id", request_id)
        return event

    return name


def _serialise(event: Fields, **_: object) -> str:
    if _render is not None:
        return _render(event)
    try:
        return printable_json(orjson.dumps(event, default=str).decode())
    except orjson.JSONEncodeError:  # for example a lone surrogate, as a file name may have
        return json.dumps(event, default=repr)


def _never_raising(logger: type[FilteringBoundLogger], sink: LineSink) -> type[FilteringBoundLogger]:
    """Return the logger's class with methods that drop and count a line which cannot be made."""

    def guarded(method: Callable[P, object]) -> Callable[P, None]:
        @functools.wraps(method)
        def call(*arguments: P.args, **fields: P.kwargs) -> None:
            try:
                method(*arguments, **fields)
            except Exception:
                sink.drop()

        return call

    return type(
        "Logger", (logger,), {name: guarded(getattr(logger, name)) for name in _METHODS if hasattr(logger, name)}
    )


class _SinkLogger:
    """Passes rendered lines on, whatever their level."""

    def __init__(self, sink: LineSink) -> None:
        self.msg = self.log = self.debug = self.info = self.warning = self.warn = sink.write
        self.error = self.critical = self.fatal = self.exception = self.failure = self.err = sink.write


class _SinkHandler(logging.Handler):
    def __init__(self, sink: LineSink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._sink.write(self.format(record))
        except Exception:
            self._sink.drop()
