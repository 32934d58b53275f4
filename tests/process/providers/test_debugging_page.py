"""The lines of docs/providers/debugging.md are replayed with the quickstart: each answers what the page shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.commands import ROOT
from tests.support.rigs.gestaltd import QUICKSTART, Gestaltd, quickstart_host
from tests.support.rigs.toolchains import build_grpcurl
from tests.support.waiting import until

PAGE = ROOT / "docs" / "providers" / "debugging.md"
PORT = "8080"
"""That of the page."""
BROKEN = f"""
plugins:
  broken:
    source: {{path: {QUICKSTART.parent}/plugins/slack/manifest.yaml}}
    config: {{webhookUrl: 7}}
workflows: {{schedules: {{nightly_sync: {{paused: true}}}}}}
"""
MARK = "=== line "
PLACEHOLDERS = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?"), "TIME"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r"(gstp-\d+(-[a-z_]+)*)-\w{8}\b"), r"\1-RANDOM"),
    (re.compile(r"\(pid \d+, [^)]*\)"), "(PID, CONFIG)"),
    (re.compile(r"process \d+"), "process PID"),
    (re.compile(r"(?<=TIME  )\d+(?=  std)"), "PID"),
    (re.compile(r"scope-\d+"), "scope-N"),
    (re.compile(r"(?<=\S)  +(?=\S)"), "  "),
    (re.compile(r" +│$", re.MULTILINE), " │"),
    (re.compile(r"─+"), "─"),
    (re.compile(r"═+"), "═"),
    (re.compile(r" +$", re.MULTILINE), ""),
)
"""What is another one each time, and the width of columns."""


@dataclass(frozen=True)
class Line:
    """A command of the page, the number of its line, and what is shown below it."""

    number: int
    command: str
    shown: str

    @property
    def is_of_grpcurl(self) -> bool:
        return self.command.startswith("grpcurl")


def lines_of(text: str) -> Iterator[Line]:
    """Yield the commands of the page's console blocks, in order."""
    block = False
    command: list[str] = []
    shown: list[str] = []
    begun, end = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            block = line == "```console"
        if (not block or line.startswith("$ ")) and command:
            yield Line(begun, "\n".join(command), "\n".join(shown))
            command, shown = [], []
        if not block or line.startswith("```"):
            continue
        if line.startswith("$ "):
            begun, command = number, [line[2:]]
            end = "END" if "<<'END'" in line else ""
        elif end or command[-1].endswith("\\"):
            command.append(line)
            end = "" if line == end else end
        else:
            shown.append(line)


LINES = list(lines_of(PAGE.read_text()))


def normal(text: str) -> str:
    """The text without what differs from one time to the next."""
    for pattern, name in PLACEHOLDERS:
        text = pattern.sub(name, text)
    return text.strip()


def pattern_of(shown: str) -> re.Pattern[str]:
    """What an answer has to be: the text, where ``...`` is any text of a line, and alone in a line any lines."""
    parts = [
        "(?:.*\n)*?" if line == "..." else re.escape(line).replace(re.escape("..."), ".*") + "\n"
        for line in normal(shown).splitlines()
    ]
    return re.compile("".join(parts))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gestaltd]:
    served = quickstart_host(tmp_path_factory.mktemp("quickstart"), BROKEN)
    try:
        served.start()
        assert served.post("/roadmap/sync", {}).status_code == 200
        until(lambda: ended(served) == 2, within_s=30, what=lambda: str(served.get("/workflow/runs", owner="config")))
        yield served
    finally:
        served.stop()


def ended(host: Gestaltd) -> int:
    """How many runs of the quickstart's triggers have succeeded."""
    return sum(run["status"] == "succeeded" for run in host.get("/workflow/runs", owner="config"))


def programs(folder: Path, host: Gestaltd) -> None:
    """Put into the folder what the page calls: `gestaltd` for this host, `gestalt`, and `grpcurl` if there is one."""
    for name, module, more in (("gestaltd", "daemon", f"--host {host.url}"), ("gestalt", "cli", "")):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m gestalt_host.{module} "$@" {more}\n')
        program.chmod(0o755)
    if isinstance(built := build_grpcurl(), Path):
        (folder / "grpcurl").symlink_to(built)


@pytest.fixture(scope="module")
def answers(host: Gestaltd, tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """What each command of the page has answered in one shell, by the number of its line."""
    folder = tmp_path_factory.mktemp("programs")
    programs(folder, host)
    script = "".join(
        f"echo; echo '{MARK}{line.number}'\n{line.command.replace(PORT, str(host.port))}\n" for line in LINES
    )
    ran = subprocess.run(
        ["bash"],
        input=script,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "GESTALT_URL": host.url},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    parts = re.split(rf"^{MARK}(\d+)$", ran.stdout.replace(str(host.port), PORT), flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.mark.timeout(900)  # grpcurl may have to be built
def test_each_command_answers_what_the_page_shows(answers: dict[int, str]) -> None:
    found = differing([line for line in LINES if not line.is_of_grpcurl], answers)
    assert not found, found


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("grpcurl")
def test_each_command_of_grpcurl_answers_what_the_page_shows(answers: dict[int, str]) -> None:
    found = differing([line for line in LINES if line.is_of_grpcurl], answers)
    assert not found, found


def differing(lines: list[Line], answers: dict[int, str]) -> str:
    """The lines that answered something else than is shown, and what."""
    told = ((line, normal(answers[line.number])) for line in lines)
    return "\n".join(
        f"line {line.number}: $ {line.command}\n{found}\n"
        for line, found in told
        if not pattern_of(line.shown).fullmatch(f"{found}\n" if found else "")
    )


def test_an_answer_that_differs_is_told() -> None:
    shown = '{\n  "done": false,\n...\n  "time": "2026-11-30T02:28:38.97Z",\n  "body": "a...z"\n}'
    same = '{\n  "done": false,\n  "a": 1,\n  "b": 2,\n  "time": "2027-01-02T03:04:05Z",\n  "body": "abcz"\n}\n'
    assert pattern_of(shown).fullmatch(normal(same) + "\n")
    for right, wrong in (("false", "true"), ('"body"', '"text"'), ("z", "y"), ("\n}", "\n}\n}")):
        assert not pattern_of(shown).fullmatch(normal(same.replace(right, wrong)) + "\n")


def test_the_page_has_lines_of_both_tools() -> None:
    assert sum(line.command.startswith("grpcurl") for line in LINES) >= 10
    assert sum("gestaltd provider call" in line.command for line in LINES) >= 10
