"""The plugin: operation ``chat.postMessage``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from gestalt_sdk.bases import ConfigFault
from gestalt_sdk.plugin import OperationError, Plugin, Request, operation
from slack_plugin.messages import DeliveryFailed, Destination, File, Message, Webhook

DEFAULT_FILE = Path("~/.local/state/gestalt/slack.jsonl")
ACCEPTED = {"webhookUrl", "file"}


class SlackPlugin(Plugin):
    """Configuration: ``webhookUrl``, where messages are posted; without it ``file``, where they are appended."""

    display_name = "Slack"
    description = "Posts messages to a webhook, or to a local file."
    version = "0.1.0"

    _destination: Destination | None = None

    async def check(self, name: str, config: Mapping[str, object]) -> list[ConfigFault]:
        return _faults(config)

    async def configure(self, name: str, config: dict[str, Any]) -> None:
        destination = _destination(config)
        earlier, self._destination = self._destination, destination
        if earlier is not None:
            await earlier.close()

    async def close(self) -> None:
        if self._destination is not None:
            await self._destination.close()

    @operation("chat.postMessage", title="Post a message")
    async def post_message(
        self,
        request: Request,
        text: Annotated[str | None, "what to say; without it the event that led here is described"] = None,
        channel: Annotated[str, "where to say it"] = "#general",
    ) -> dict[str, Any]:
        """Post one message to a channel."""
        said = text or _described(request.workflow.get("trigger", {}).get("event", {}))
        if not said:
            raise OperationError(400, 'parameter "text" is missing, and no event led here that could be described')
        assert self._destination is not None, "calls come after configure"
        try:
            at = await self._destination.post(Message(channel, said))
        except DeliveryFailed as error:
            raise OperationError(502, str(error)) from error
        return {"ok": True, "channel": channel, "text": said, "at": at}


def _destination(config: dict[str, Any]) -> Destination:
    if faults := _faults(config):
        raise ValueError("; ".join(f"config.{fault}" for fault in faults))
    if url := config.get("webhookUrl"):
        return Webhook(url)
    return File(Path(config.get("file") or DEFAULT_FILE).expanduser())


def _faults(config: Mapping[str, object]) -> list[ConfigFault]:
    known = f"is not known; accepted are {', '.join(sorted(ACCEPTED))}"
    faults = [ConfigFault(name, known) for name in sorted(config.keys() - ACCEPTED)]
    faults += [ConfigFault(name, "is not a text") for name, value in config.items() if not isinstance(value, str)]
    url = config.get("webhookUrl")
    if url and isinstance(url, str):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            faults.append(ConfigFault("webhookUrl", "is not an http or https URL"))  # the value itself is a secret
    return faults


def _described(event: dict[str, Any]) -> str:
    """One line about an event; empty for none."""
    if not event:
        return ""
    figures = [f"{name} {value}" for name, value in event.get("data", {}).items() if isinstance(value, int)]
    return " ".join([event["type"], *(["-", ", ".join(figures)] if figures else [])])


provider = SlackPlugin
