"""A page of another site in a real browser, where one is installed: what it can make this server do."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from gestalt_host.http.app import create_app
from gestalt_host.http.listener import Listener
from gestalt_host.http.origins import AllowedHosts
from tests.support.fakes.host import FakeHost

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
OPTIONS = ("--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-port=0")
ATTACK = """<!doctype html><title>evil</title><body><script>
const server = "http://127.0.0.1:%d";
const text = {"Content-Type": "text/plain"};
const image = new Promise(done => {
  const made = new Image();
  made.onload = made.onerror = done;
  made.src = server + "/api/v1/slack/chat.postMessage?text=hello";
});
const form = {method: "POST", mode: "no-cors", headers: text};
const post = (path, body) => fetch(server + path, {...form, body}).catch(() => 0);
Promise.all([
  image,
  post("/api/v1/workflow/events", '{"type": "x", "source": "y"}'),
  post("/api/v1/slack/sync", "{}"),
  fetch(server + "/api/v1/workflow/runs").catch(() => 0),
]).then(() => { location = server + "/"; });
</script>"""
OWN_PAGE = """<!doctype html><title>own</title><body><script>
fetch("/api/v1/workflow/events", {method: "POST", body: '{"type": "x", "source": "y"}'})
  .then(() => fetch("/done"));
</script>"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"no browser is installed; looked for {', '.join(BROWSERS)}")


class Recorder:
    """Serves pages of its own, passes everything else on to ``app``, and keeps what was asked and answered."""

    def __init__(self, app: Any, pages: dict[str, str]) -> None:
        self._app = app
        self._pages = pages
        self.answers: dict[tuple[str, str], int] = {}
        self.asked: dict[str, asyncio.Event] = {"/": asyncio.Event(), "/done": asyncio.Event()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.answers[scope["method"], scope["path"]] = message["status"]
            await send(message)

        if (page := self._pages.get(scope["path"])) is None:
            await self._app(scope, receive, noting)
        else:
            headers = [(b"content-type", b"text/html"), (b"content-length", str(len(page.encode())).encode())]
            await noting({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": page.encode()})
        if scope["path"] in self.asked:
            self.asked[scope["path"]].set()


@asynccontextmanager
async def browsing(url: str, profile: Path) -> AsyncIterator[None]:
    assert BROWSER is not None
    browser = await asyncio.create_subprocess_exec(
        BROWSER,
        *OPTIONS,
        "--no-sandbox",
        f"--user-data-dir={profile}",
        url,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        browser.terminate()
        await browser.wait()


async def no_app(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


async def test_a_page_of_another_site_causes_nothing_and_its_links_work(host: FakeHost, tmp_path: Path) -> None:
    services = replace(host.services(base_url=""), hosts=AllowedHosts())
    server = Recorder(create_app(services), {})
    seen = len(host.manager.state.seen)
    async with Listener(server, "127.0.0.1", 0) as listener:
        evil = Recorder(no_app, {"/": ATTACK % listener.port})
        async with Listener(evil, "127.0.0.1", 0) as elsewhere, asyncio.timeout(60):
            async with browsing(f"http://localhost:{elsewhere.port}/", tmp_path):
                await server.asked["/"].wait()
    assert server.answers.pop(("GET", "/")) == 404  # It was led there, and there is no page yet.
    assert server.answers == {
        ("GET", "/api/v1/slack/chat.postMessage"): 403,
        ("POST", "/api/v1/workflow/events"): 403,
        ("POST", "/api/v1/slack/sync"): 403,
        ("GET", "/api/v1/workflow/runs"): 403,
    }
    assert len(host.manager.state.seen) == seen
    assert host.runner("slack").seen == []


async def test_a_page_of_the_server_itself_uses_it(host: FakeHost, tmp_path: Path) -> None:
    services = replace(host.services(base_url=""), hosts=AllowedHosts())
    server = Recorder(create_app(services), {"/": OWN_PAGE})
    async with Listener(server, "127.0.0.1", 0) as listener, asyncio.timeout(60):
        async with browsing(f"http://localhost:{listener.port}/", tmp_path):
            await server.asked["/done"].wait()
    assert server.answers["POST", "/api/v1/workflow/events"] == 202
