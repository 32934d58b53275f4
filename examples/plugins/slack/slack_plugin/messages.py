"""Where messages go: a webhook, or a local file with one JSON object a line."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import httpx

WEBHOOK_TIMEOUT_S = 10.0


class DeliveryFailed(Exception):
    """A message that was not accepted; the text names what refused it, never the webhook's secret path."""


@dataclass(frozen=True)
class Message:
    """One message to a channel."""

    channel: str
    text: str


class Destination(Protocol):
    """Takes messages."""

    async def post(self, message: Message) -> str:
        """Deliver; returns when, as RFC 3339 in UTC. Raises ``DeliveryFailed``."""

    async def close(self) -> None:
        """Release connections."""


class Webhook:
    """Posts ``{"channel", "text"}`` as JSON. One attempt: a repeat might post twice."""

    def __init__(self, url: str) -> None:
        self._url = httpx.URL(url)
        self._client = httpx.AsyncClient(timeout=WEBHOOK_TIMEOUT_S, follow_redirects=False)

    async def post(self, message: Message) -> str:
        try:
            answer = await self._client.post(self._url, json={"channel": message.channel, "text": message.text})
        except httpx.TimeoutException as error:
            raise DeliveryFailed(f"{self._url.host} did not answer within {WEBHOOK_TIMEOUT_S:g} s") from error
        except httpx.HTTPError as error:
            raise DeliveryFailed(f"{self._url.host} could not be reached: {type(error).__name__}") from error
        if not answer.is_success:
            raise DeliveryFailed(f"{self._url.host} answered {answer.status_code}")
        return _now()

    async def close(self) -> None:
        await self._client.aclose()


class File:
    """Appends one line a message; the file is private to the user."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def post(self, message: Message) -> str:
        at = _now()
        line = json.dumps({"at": at, "channel": message.channel, "text": message.text}, ensure_ascii=False) + "\n"
        try:
            await asyncio.to_thread(self._append, line.encode())
        except OSError as error:
            raise DeliveryFailed(f"{self._path} could not be written: {error.strerror}") from error
        return at

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # One write in append mode: lines of concurrent messages never mix.
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)

    async def close(self) -> None:
        return


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
