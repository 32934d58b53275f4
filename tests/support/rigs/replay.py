"""A page of docs typed into a shell as a reader would: its commands, its files and its edits, in order.

A command that goes on (`dev`, `serve`, a web server) runs in a terminal of its own until the next one, or the end of
its section; it is stopped as by Ctrl-C, and must then end with status 0.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.support.pages import Block, commands, edited, missing_line
from tests.support.waiting import until

ELSEWHERE = "other-machine"
"""The first part of names of files that lie on another machine: in a folder with a home of its own."""
GOING_ON = ("gestaltd provider dev", "gestaltd serve", "python3 -m http.server")
KEY = re.compile(r"gestalt-public-key:ed25519:1:[A-Za-z0-9+/=]+")
COMMAND_S = 600.0


def type_command(command: str, shown: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    """Run a command of a page in the folder, and return what it printed, which has every line that is shown."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    assert "Traceback" not in done.stdout, done.stdout
    missing = missing_line(shown, done.stdout)
    assert missing is None, f"{command}:\n{missing}\nnot in:\n{done.stdout}"
    assert shown or not done.stdout, f"{command} printed what the page does not show:\n{done.stdout}"
    return done.stdout


@dataclass
class Terminal:
    """A command that goes on, and where its output is."""

    command: str
    process: subprocess.Popen[bytes]
    output: Path

    @property
    def printed(self) -> str:
        return self.output.read_text(errors="replace")

    def count(self, words: str) -> int:
        """Return how many lines have begun with the words."""
        return sum(line.startswith(words) for line in self.printed.splitlines())

    def require_running(self) -> None:
        assert self.process.poll() is None, f"{self.command} has ended ({self.process.returncode}):\n{self.printed}"

    def interrupt(self) -> None:
        """Press Ctrl-C, and wait for the end."""
        self.require_running()
        os.killpg(self.process.pid, signal.SIGINT)
        status = self.process.wait(timeout=60)
        expected = (0, -signal.SIGINT, 130) if "http.server" in self.command else (0,)
        assert status in expected, f"{self.command} ended with {status} after Ctrl-C:\n{self.printed[-4000:]}"
        assert "Traceback" not in self.printed or "http.server" in self.command, self.printed


@dataclass
class Reader:
    """Somebody who does what a page says, beginning in an empty folder.

    Attributes:
        environment: What commands see; a page adds to it with `export`.
        ports: The port that is used in place of each one of the page.
        after: Called with each command that has been typed, and the folder that it was typed in.
    """

    folder: Path
    environment: dict[str, str]
    ports: Mapping[str, str] = field(default_factory=dict)
    after: Callable[[str, Path], None] = lambda command, folder: None
    cwd: Path = field(init=False)
    terminal: Terminal | None = None
    public_key: str = ""
    section: str = ""

    def __post_init__(self) -> None:
        self.cwd = self.folder

    def read(self, page: Sequence[Block]) -> None:
        """Do everything that the blocks say."""
        for block in page:
            if block.section != self.section:
                self.stop()
                self.section = block.section
            text = self._with_ports(block.text)
            if block.language == "console":
                for command, shown in commands(Block(block.language, "", text, block.section, block.line)):
                    self._type(command, shown)
            elif block.language == "diff":
                self._edit(self.cwd / block.file, text)
            elif block.file:
                self._write(block.file, KEY.sub(self.public_key, text) if self.public_key else text)

    def stop(self) -> None:
        """Press Ctrl-C in the terminal that goes on, if there is one."""
        terminal, self.terminal = self.terminal, None
        if terminal is not None:
            terminal.interrupt()

    def _with_ports(self, text: str) -> str:
        for port, other in self.ports.items():
            text = re.sub(rf"\b{port}\b", other, text)
        return text

    def _type(self, command: str, shown: list[str]) -> None:
        if command.startswith("cd "):
            self.cwd = self.cwd / command.removeprefix("cd ")
        elif command.startswith("export "):
            name = command.removeprefix("export ").partition("=")[0]
            script = f'{command}\nprintf %s "${name}"'
            self.environment[name] = type_command(script, ["…"], self.cwd, self.environment)
        elif command.startswith(GOING_ON):
            self._open_terminal(command)
        else:
            printed = type_command(command, shown, self.cwd, self.environment)
            if found := KEY.search(printed):
                self.public_key = found[0]
        self.after(command, self.cwd)

    def _open_terminal(self, command: str) -> None:
        self.stop()
        output = self.folder / f"terminal-{len(list(self.folder.glob('terminal-*')))}.log"
        with output.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.cwd,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        terminal = self.terminal = Terminal(command, process, output)
        port = self._port(command)
        ready = _listens if "http.server" in command else _is_ready

        def answers() -> bool:
            terminal.require_running()
            return ready(port)

        until(
            answers, within_s=COMMAND_S, what=lambda: f"{command} answers on port {port}:\n{terminal.printed[-4000:]}"
        )

    def _port(self, command: str) -> int:
        told = re.search(r"--port (\d+)|http\.server (\d+)", command)
        if told is None:
            told = re.search(r"port: (\d+)", (self.cwd / "gestalt.yaml").read_text())
        assert told is not None, f"{command}: on which port?"
        return int(next(filter(None, told.groups())))

    def _edit(self, path: Path, edit: str) -> None:
        taken_up = self.terminal.count("reloaded ") if self.terminal else 0
        path.write_text(edited(path.read_text(), edit))
        terminal = self.terminal
        if terminal is None:
            return

        def is_taken_up() -> bool:
            terminal.require_running()
            return terminal.count("reloaded ") + terminal.count("not reloaded ") > taken_up

        until(is_taken_up, within_s=COMMAND_S, what=lambda: f"{path.name} is taken up:\n{terminal.printed[-4000:]}")

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if name.startswith(f"{ELSEWHERE}/"):
            self.cwd = self.folder / ELSEWHERE
            home = self.cwd / "home"
            home.mkdir()
            self.environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def reading(reader: Reader) -> Iterator[Reader]:
    """Give the reader, and leave no process of its behind, whatever happens."""
    try:
        yield reader
        reader.stop()
    finally:
        if reader.terminal is not None:
            with suppress(ProcessLookupError):
                os.killpg(reader.terminal.process.pid, signal.SIGKILL)
            reader.terminal.process.wait()


def program(folder: Path, name: str, command: str) -> None:
    """Put a program into the folder that runs a command of a shell with the arguments that it is given."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)
