"""A recording HTTP server, and the command line run in this process against it."""

from __future__ import annotations

import http.server
import io
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest

from gestalt_host.cli.__main__ import run


@dataclass
class Answer:
    """What the server says to one method and path."""

    body: Any = None
    status: int = 200
    text: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Request:
    method: str
    path: str
    """As sent, with the query, nothing decoded."""
    headers: dict[str, str]
    body: Any


class Server(http.server.ThreadingHTTPServer):
    """Answers as told, else ``{}``; says that there is no login unless told otherwise. Keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[tuple[str, str], Answer] = {("GET", "/api/v1/auth/info"): Answer({"loginSupported": False})}
        self.requests: list[Request] = []
        self.first: dict[tuple[str, str], list[Answer]] = {}
        """Said once each, in their order, before what is in ``answers``."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def on(self, method: str, path: str, body: Any = None, **more: Any) -> None:
        self.answers[method, path] = Answer(body, **more)

    @property
    def asked(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.requests]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw.decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append(Request(self.command, self.path, headers, body))
        answers, whole = self.server.answers, (self.command, self.path)
        if self.server.first.get(whole):
            answer = self.server.first[whole].pop(0)
        else:
            answer = answers.get(whole) or answers.get((self.command, self.path.partition("?")[0])) or Answer({})
        content = (json.dumps(answer.body) if answer.text is None else answer.text).encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815 - names that the base class looks up

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    """Run a recording server in a thread."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Gestalt:
    """Runs command lines in this process: home and working directory are scratch, stdin is what is given."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.home = tmp_path / "home"
        self.work = tmp_path / "work"
        self.home.mkdir()
        self.work.mkdir()
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        for name in ("GESTALT_URL", "GESTALT_API_KEY", "XDG_CONFIG_HOME", "NO_COLOR", "CLICOLOR_FORCE", "HTTP_PROXY",
                     "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):  # fmt: skip
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(self.home))
        monkeypatch.setenv("BROWSER", "true")  # opening a browser succeeds and does nothing
        monkeypatch.chdir(self.work)

    @property
    def config(self) -> Path:
        return self.home / ".config" / "gestalt"

    def env(self, **values: str | None) -> Gestalt:
        for name, value in values.items():
            if value is None:
                self._monkeypatch.delenv(name, raising=False)
            else:
                self._monkeypatch.setenv(name, value)
        return self

    def chdir(self, folder: Path) -> None:
        self._monkeypatch.chdir(folder)

    def __call__(self, *args: str, stdin: str = "") -> Result:
        self._monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        self._capsys.readouterr()
        code = run(args)
        seen = self._capsys.readouterr()
        return Result(code, seen.out, seen.err)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Gestalt:
    """The command line with nothing configured."""
    return Gestalt(tmp_path, monkeypatch, capsys)


@pytest.fixture
def gestalt(bare: Gestalt, server: Server) -> Gestalt:
    """The command line with the recording server and a token in the environment."""
    return bare.env(GESTALT_URL=server.url, GESTALT_API_KEY="test-token")


def on_a_terminal(server: Server, columns: int, *args: str, stderr: bool = False, **env: str) -> tuple[int, str]:
    """Run ``gestalt`` with stdout (and stderr) on a terminal that wide; exit code and what the terminal got."""
    parent, child = pty.openpty()
    ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "gestalt_host.cli", *args],
        stdout=child,
        stderr=child if stderr else subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        env={
            "PATH": os.environ["PATH"],
            "GESTALT_URL": server.url,
            "GESTALT_API_KEY": "k",
            "HOME": "/nonexistent",
            **env,
        },
    )
    os.close(child)
    chunks: list[bytes] = []
    try:
        while chunk := os.read(parent, 65536):
            chunks.append(chunk)
    except OSError:  # the other side of a terminal is closed
        pass
    os.close(parent)
    return process.wait(), b"".join(chunks).decode().replace("\r\n", "\n")
