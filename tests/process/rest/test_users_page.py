"""docs/providers/rest.md, run as it stands: its files are written, its commands typed, its promises looked at."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.support.commands import ROOT
from tests.support.pages import blocks, commands, missing_line
from tests.support.rigs.gestaltd import Gestaltd, free_port
from tests.support.rigs.upstream import upstream
from tests.support.rigs.web import Web, serving

PAGE = ROOT / "docs" / "providers" / "rest.md"
RECORDED: dict[str, Any] = json.loads((ROOT / "tests" / "support" / "data" / "crossref.json").read_text())
SECRETS = {"ORDERS_TOKEN": "orders-secret", "NORTH_TOKEN": "north-secret", "SOUTH_TOKEN": "south-secret"}
EVENTS = "plugins:\n  events: {source: {path: ./events/manifest.yaml}}\n"
pytestmark = pytest.mark.timeout(300)


@dataclass
class Page:
    """The page's blocks: files by name, the commands of each console with what they print, and requests."""

    files: dict[str, str] = field(default_factory=dict)
    consoles: list[list[tuple[str, list[str]]]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @classmethod
    def read(cls) -> Page:
        page = cls()
        for block in blocks(PAGE.read_text()):
            if block.file:
                page.files[block.file] = block.text
            elif block.language == "console":
                page.consoles.append(list(commands(block)))
            else:
                assert block.language == "http", f"a block that is not tried: {block.text}"
                page.requests.append(block.text)
        return page


READ = Page.read()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file of the page."""
    made = tmp_path_factory.mktemp("page")
    for name, text in {**READ.files, "gestalt-events.yaml": EVENTS}.items():
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_text(text)
    return made


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    with upstream() as port:
        yield port


@pytest.fixture(scope="module")
def crossref() -> Iterator[Web]:
    with serving() as web:
        work = json.dumps(RECORDED["work"])
        web.put("/works/10.1037%2F0003-066X.59.1.29", work, content_type="application/json")
        web.put("/works", json.dumps(RECORDED["list"]), content_type="application/json")
        yield web


def environment(folder: Path) -> dict[str, str]:
    return {**SECRETS, "GESTALT_ENCRYPTION_KEY": "a key for tests only", "PWD": str(folder)}


@contextmanager
def served(folder: Path, logs: Path, addresses: dict[str, str], *overlays: str) -> Iterator[Gestaltd]:
    """Serve the page's configuration with files laid over it; ``addresses``: where the APIs are, by plugin."""
    port = free_port()
    plugins = {name: {"surfaces": {"rest": {"baseUrl": url}}} for name, url in addresses.items()}
    last = logs / "here.yaml"
    last.write_text(json.dumps({"server": {"public": {"port": port}}, "plugins": plugins}))
    configs = [folder / "gestalt.yaml", *(folder / name for name in overlays), last]
    host = Gestaltd(configs, environment(folder), port, logs)
    try:
        host.start()
        yield host
    finally:
        host.stop()


def typed(folder: Path, commands: list[tuple[str, list[str]]], **environ: str) -> list[tuple[str, str]]:
    """Type commands one after the other; return each with what it printed, after comparing that with the page.

    A server is not started, and the variables that lead to one are the caller's.
    """
    shown, before = [], ["set -e"]
    for command, expected in commands:
        if command.startswith(("gestaltd serve", "export GESTALT_")):
            continue
        if command.startswith("cd "):
            before.append(command)
            continue
        done = subprocess.run(
            ["bash", "-c", "\n".join([*before, command])],
            cwd=folder,
            env={
                **{name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ},
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                **environment(folder),
                **environ,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        printed = done.stdout + done.stderr
        assert "Traceback" not in printed
        missing = missing_line(expected, printed)
        assert missing is None, f"{command}:\n{missing}\nnot in:\n{printed}"
        shown.append((command, printed))
    return shown


def test_the_page_has_what_is_tried_here() -> None:
    assert set(READ.files) == {
        *("gestalt.yaml", "gestalt-bearer.yaml", "gestalt-mapped.yaml", "gestalt-accounts.yaml"),
        *("gestalt-fenced.yaml", "gestalt-broken.yaml"),
        *(f"{name}/manifest.yaml" for name in ("papers", "orders", "accounts", "events", "broken")),
    }
    assert [len(commands) for commands in READ.consoles] == [3, 5, 3, 1]
    assert len(READ.requests) == 1


def test_from_an_empty_folder_to_a_scheduled_call(folder: Path, tmp_path: Path, crossref: Web) -> None:
    check, use, *_ = READ.consoles
    typed(folder, check)
    with served(folder, tmp_path, {"papers": crossref.url("")}) as host:
        typed(folder, use, GESTALT_URL=host.url)
        (schedule,) = host.get("/workflow/schedules")
        assert schedule["target"]["plugin"]["input"] == {"query": "object stores", "rows": 5}
    assert "/works/10.1037%2F0003-066X.59.1.29" in crossref.paths()


def test_values_go_where_the_page_says(folder: Path, tmp_path: Path, echo: int) -> None:
    (command,) = re.findall(r"^`(gestalt invoke orders change .*)` sends$", PAGE.read_text(), re.MULTILINE)
    head, _, body = READ.requests[0].partition("\n\n")
    line, *headers = head.splitlines()
    method, target = line.split()
    path, _, query = target.partition("?")
    addresses = {"orders": f"http://127.0.0.1:{echo}/echo/v1"}
    with served(folder, tmp_path, addresses, "gestalt-bearer.yaml") as host:
        ((_, printed),) = typed(folder, [(f"{command} --format json", [])], GESTALT_URL=host.url)
        seen = json.loads(printed)
    assert (seen["method"], seen["path"]) == (method, f"/echo{path}")
    assert sorted(map(tuple, seen["query"])) == sorted(parse_qsl(query))
    assert seen["json"] == json.loads(body)
    assert list(seen["json"]) == list(json.loads(body))
    named = {name.lower(): value for name, value in (header.split(": ", 1) for header in headers)}
    assert seen["headers"] == {**named, "authorization": "Bearer orders-secret"}


def test_a_mapped_credential_is_sent_as_the_page_says(folder: Path, tmp_path: Path, echo: int) -> None:
    addresses = {"orders": f"http://127.0.0.1:{echo}/echo"}
    with served(folder, tmp_path, addresses, "gestalt-mapped.yaml") as host:
        seen = host.post("/orders/change", {"id": "1"}).json()
    assert seen["headers"]["x-api-key"] == "orders-secret"
    assert seen["headers"]["authorization"] == "Basic cm9ib3Q6b3JkZXJzLXNlY3JldA=="


def test_a_parameter_chooses_the_account_and_pages_become_a_list(folder: Path, tmp_path: Path, echo: int) -> None:
    addresses = {
        "accounts": f"http://127.0.0.1:{echo}/echo/{{region}}",
        "events": f"http://127.0.0.1:{echo}",
    }
    with served(folder, tmp_path, addresses, "gestalt-accounts.yaml", "gestalt-events.yaml") as host:
        for office, region in ({}, "north"), ({"office": "n"}, "north"), ({"office": "s"}, "south"):
            seen = host.post("/accounts/show", office).json()
            assert seen["path"] == f"/echo/{region}/account"
            assert seen["headers"]["authorization"] == f"Bearer {region}-secret"
            assert seen["headers"]["x-region"] == region
        assert host.post("/accounts/show", {"office": "w"}).status_code == 400
        assert host.post("/events/page", {}).json() == {"items": [0, 1, 2], "more": True, "next": "3"}
        assert host.post("/events/all", {}).json() == list(range(9))


def test_a_list_of_hosts_is_kept(folder: Path, tmp_path: Path, echo: int) -> None:
    with served(folder, tmp_path, {"orders": f"http://127.0.0.1:{echo}/echo"}, "gestalt-fenced.yaml") as host:
        answer = host.post("/orders/change", {"id": "1"})
    assert answer.status_code == 502
    assert "127.0.0.1 is not among egress.allowedHosts of the plugin" in answer.json()["error"]


def test_a_release_and_a_refusal_print_what_the_page_shows(folder: Path) -> None:
    _, _, release, refusal = READ.consoles
    typed(folder, release)
    ((command, printed),) = typed(folder, refusal)
    assert printed.count("manifest.yaml:") == len(refusal[0][1]), f"{command} told more than the page:\n{printed}"
