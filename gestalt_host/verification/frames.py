"""What went over the sockets of a provider under test, for whoever has to find out why a rule failed."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass

from google.protobuf import json_format, text_format
from google.protobuf.message import Message

from gestalt_sdk.common.printable import printable
from gestalt_sdk.common.texts import cut

MOST_FRAMES = 50
"""Of one rule: the last ones."""
MOST_BYTES = 1000
"""Of what one frame is shown with."""
LARGE_BYTES = 64 * 1024
"""A message from this size on is shown as its size."""
SENT, RECEIVED = ">", "<"
_CONFIG = "config"


@dataclass(frozen=True, slots=True)
class Frame:
    """One message, status, or run of bytes.

    Attributes:
        direction: ``SENT`` to the provider, or ``RECEIVED`` from it.
        place: The method it belongs to, or what else it was.
        text: Its content: a message as JSON, other bytes in hexadecimal. Values of a configuration are left out.
    """

    direction: str
    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.direction} {self.place} {self.text}".rstrip()


class Frames:
    """The last frames of one rule."""

    def __init__(self) -> None:
        self._kept: deque[tuple[str, str, Message | str]] = deque(maxlen=MOST_FRAMES)

    def note(self, direction: str, place: str, content: Message | bytes | str) -> None:
        """Keep one more; a message is not changed afterwards."""
        if isinstance(content, bytes):
            content = f"{len(content)} bytes {content[: MOST_BYTES // 4].hex()}"
        elif isinstance(content, Message) and (size := content.ByteSize()) > LARGE_BYTES:
            content = f"{content.DESCRIPTOR.name} of {size} bytes"
        self._kept.append((direction, place, content))

    def clear(self) -> None:
        """Keep none of them any longer."""
        self._kept.clear()

    def all(self) -> tuple[Frame, ...]:
        """Return those that are kept, the oldest first."""
        return tuple(
            Frame(direction, place, printable(cut(_shown(content), MOST_BYTES)))
            for direction, place, content in self._kept
        )


def _shown(content: Message | str) -> str:
    if isinstance(content, str):
        return content
    try:
        document = json_format.MessageToDict(content, preserving_proto_field_name=True)
    except (json_format.Error, ValueError):  # JSON has no such value: a time after the year 9999
        return text_format.MessageToString(content, as_one_line=True)
    if isinstance(config := document.get(_CONFIG), dict):
        document[_CONFIG] = dict.fromkeys(config, "…")  # it may hold secrets
    return json.dumps(document, ensure_ascii=False)
