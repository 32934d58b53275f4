"""`make run`: what a newcomer sees in the first minute, and what a second one does to the first."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.commands import ROOT
from tests.support.rigs.gestaltd import QUICKSTART, alive, free_port
from tests.support.waiting import until

NEVER_FIRES = 'cron: "0 0 29 2 *"'


class Checkout:
    """A checkout with a quickstart on a port of its own, whose schedule does not fire while a test runs."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "examples" / "quickstart"
        self.port = free_port()
        self.home.mkdir(parents=True)
        shutil.copy(QUICKSTART / "run.py", self.home)
        shutil.copytree(QUICKSTART / "items", self.home / "items")
        text = (QUICKSTART / "gestalt.yaml").read_text()
        assert "port: 8080" in text
        assert 'cron: "* * * * *"' in text
        text = text.replace("port: 8080", f"port: {self.port}").replace('cron: "* * * * *"', NEVER_FIRES)
        (self.home / "gestalt.yaml").write_text(text)
        (folder / "examples" / "plugins").symlink_to(ROOT / "examples" / "plugins")
        (folder / "providers").symlink_to(ROOT / "providers")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.home / "state" / "gestaltd.log"

    @property
    def shown(self) -> str:
        return (self.home / "shown").read_text()

    @property
    def command(self) -> list[str]:
        return [sys.executable, str(self.home / "run.py")]

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """The program, as far as its host is ready."""
        with (self.home / "shown").open("wb") as shown:
            process = subprocess.Popen(self.command, stdout=shown, stderr=shown, start_new_session=True)
        try:
            until(lambda: "Gestalt API at" in self.shown, within_s=90, what=lambda: self.shown)
            yield process
        finally:
            process.terminate()
            process.wait(30)

    def again(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def found(checkout: Checkout) -> list[str]:
    """What the tour's first command finds."""
    answer = httpx.post(f"{checkout.url}/api/v1/search/query", json={"text": "daylight saving"}, timeout=30)
    return [hit["id"] for hit in answer.json().get("hits", [])]


def test_the_first_command_of_the_tour_finds_something_before_the_schedule_fires(checkout: Checkout) -> None:
    with checkout.running() as process:
        until(lambda: found(checkout) == ["time-zones"], within_s=30, what=lambda: checkout.shown)
        assert re.search(r"^\d\d:\d\d:\d\d  at start  roadmap\.sync +succeeded  \d+ ms$", checkout.shown, re.MULTILINE)
        assert "  schedule  " not in checkout.shown
        os.killpg(process.pid, signal.SIGINT)  # Ctrl-C
        assert process.wait(30) == 0


def test_a_second_run_is_refused_and_leaves_the_first_and_its_log_alone(checkout: Checkout) -> None:
    with checkout.running():
        until(lambda: "at start" in checkout.shown, within_s=30, what=lambda: checkout.shown)
        before = checkout.log.read_bytes()
        holder = int((checkout.home / "state" / "lock").read_text())
        second = checkout.again()
        assert second.returncode == 1
        assert f"is served already, by process {holder};" in second.stderr
        assert str(checkout.log) in second.stderr
        assert '"event"' not in second.stdout + second.stderr
        assert checkout.log.read_bytes().startswith(before)
        assert b"\0" not in checkout.log.read_bytes()
        assert httpx.get(f"{checkout.url}/ready").status_code == 200
        os.kill(holder, signal.SIGTERM)  # as the refusal says
        until(lambda: not alive(holder), within_s=30, what=lambda: checkout.shown)


def test_the_lock_goes_with_the_host_and_each_start_has_a_log_of_its_own(checkout: Checkout) -> None:
    with checkout.running() as process:
        holder = int((checkout.home / "state" / "lock").read_text())
        process.kill()
        process.wait()
        assert checkout.again().returncode == 1, "the host still serves"
        os.kill(holder, signal.SIGTERM)
        until(lambda: not alive(holder), within_s=30, what=lambda: "the host to end")
    first = checkout.log.read_bytes()
    with checkout.running():
        pass
    assert (checkout.home / "state" / "gestaltd.log.1").read_bytes().startswith(first)
    assert first not in checkout.log.read_bytes()
