"""Messages reach a webhook or a file, and a refusal says who refused without telling the webhook's secret."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from slack_plugin import messages
from slack_plugin.provider import SlackPlugin

from gestalt_sdk.plugin import OperationError, Request


class Receiver:
    """An HTTP server that answers every request with ``status``, or never with status 0."""

    def __init__(self) -> None:
        self.status = 200
        self.bodies: list[object] = []
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length")
        )
        self.bodies.append(json.loads(await reader.readexactly(length)))
        if self.status:
            writer.write(f"HTTP/1.1 {self.status} x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".encode())
            await writer.drain()
        else:
            await reader.read()
        writer.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


@pytest.fixture
async def plugin(receiver: Receiver) -> AsyncIterator[SlackPlugin]:
    made = SlackPlugin()
    await made.configure("slack", {"webhookUrl": f"http://127.0.0.1:{receiver.port}/services/secret"})
    yield made
    await made.close()


async def test_a_message_is_posted_to_the_webhook(plugin: SlackPlugin, receiver: Receiver) -> None:
    answer = await plugin.post_message(Request.make(), "hello", "#roadmap")
    assert answer["ok"] is True
    assert receiver.bodies == [{"channel": "#roadmap", "text": "hello"}]


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_a_refusal_is_a_bad_gateway(plugin: SlackPlugin, receiver: Receiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(OperationError, match=f"127.0.0.1 answered {status}") as caught:
        await plugin.post_message(Request.make(), "hello")
    assert caught.value.status == 502
    assert "secret" not in str(caught.value)
    assert len(receiver.bodies) == 1  # a repeat might post twice


async def test_silence_ends_after_the_timeout(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "WEBHOOK_TIMEOUT_S", 0.05)
    receiver.status = 0
    made = SlackPlugin()
    await made.configure("slack", {"webhookUrl": f"http://127.0.0.1:{receiver.port}/"})
    with pytest.raises(OperationError, match="did not answer within"):
        await made.post_message(Request.make(), "hello")
    await made.close()


async def test_without_a_webhook_lines_are_appended_to_a_private_file(tmp_path: Path) -> None:
    made = SlackPlugin()
    path = tmp_path / "new" / "slack.jsonl"
    await made.configure("slack", {"file": str(path)})
    await asyncio.gather(*(made.post_message(Request.make(), f"m{n}") for n in range(50)))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {line["text"] for line in lines} == {f"m{n}" for n in range(50)}
    assert path.stat().st_mode & 0o777 == 0o600


async def test_without_a_text_the_event_is_described(tmp_path: Path) -> None:
    made = SlackPlugin()
    await made.configure("slack", {"file": str(tmp_path / "s.jsonl")})
    event = {"type": "roadmap.sync.completed", "data": {"added": 3, "mode": "full"}}
    request = Request.make(workflow={"trigger": {"kind": "event", "event": event}})
    assert (await made.post_message(request))["text"] == "roadmap.sync.completed - added 3"
    with pytest.raises(OperationError, match="text"):
        await made.post_message(Request.make())


@pytest.mark.parametrize("config", [{"webhookUrl": "ftp://x/secret"}, {"webhookUrl": 3}, {"url": "http://x"}])
async def test_a_wrong_setting_is_refused_by_name(config: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"config.{next(iter(config))}") as caught:
        await SlackPlugin().configure("slack", config)
    assert "secret" not in str(caught.value)
