"""The example plugin without code, served from its folder and from its release, against recorded answers of its API."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gestalt_host.packages import find_manifest, read_manifest
from gestalt_host.packages.archives.extract import extract
from gestalt_host.packages.releases.metadata import read_metadata
from gestalt_host.packages.releasing.making import ReleaseRequest, release
from gestalt_host.packages.signatures import new_key, public_key
from tests.support.commands import ROOT
from tests.support.rigs.gestaltd import Gestaltd, free_port
from tests.support.rigs.web import Request, Web, serving

PLUGIN = ROOT / "examples" / "plugins" / "crossref"
RECORDED: dict[str, Any] = json.loads((ROOT / "tests" / "support" / "data" / "crossref.json").read_text())
ITEMS: list[dict[str, Any]] = RECORDED["list"]["message"]["items"]
DOI = "10.1037/0003-066X.59.1.29"
CONFIG = """\
apiVersion: gestaltd.config/v5
server: {{public: {{port: {port}}}, encryptionKey: "a key for tests only"}}
providers:
  indexeddb:
    main: {{source: {{builtin: indexeddb_store}}, config: {{dsn: "sqlite://{folder}/state.db"}}}}
{more}
plugins:
  crossref:
    source: {source}
{beside}    surfaces: {{rest: {{baseUrl: "{api}"}}}}
"""
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def api() -> Iterator[Web]:
    """The API on this machine: recorded answers, lists cut into pages by ``rows`` and ``offset``."""
    with serving() as web:
        work = f"/works/{DOI.replace('/', '%2F')}"
        web.put(work, json.dumps(RECORDED["work"]), content_type="application/json")
        web.put(f"{work}/agency", json.dumps(RECORDED["agency"]), content_type="application/json")
        web.answers["/works"] = web.answers["/journals/0003-066X/works"] = listed
        yield web


def listed(request: Request) -> None:
    query = {name: values[0] for name, values in parse_qs(urlsplit(request.path).query).items()}
    answer = copy.deepcopy(RECORDED["list"])
    start, rows = int(query.get("offset", 0)), int(query.get("rows", 20))
    # `filter` is how the test asks for a longer list than the one that is recorded.
    found = ITEMS * int(query.get("filter", "times:1").removeprefix("times:"))
    answer["message"] |= {"items": found[start : start + rows], "items-per-page": rows, "total-results": len(found)}
    answer["message"]["query"]["start-index"] = start
    request.send(json.dumps(answer).encode(), content_type="application/json")


def host_of(folder: Path, source: object, api: Web, *options: str, more: str = "", beside: str = "") -> Gestaltd:
    """Return a host that serves the plugin; not started. ``beside`` (its source) and ``more`` (at the top) are YAML."""
    port = free_port()
    text = CONFIG.format(port=port, source=json.dumps(source), api=api.url(""), more=more, beside=beside, folder=folder)
    (folder / "gestalt.yaml").write_text(text)
    program = (sys.executable, "-m", "gestalt_host.daemon", "serve", *options)
    return Gestaltd([folder / "gestalt.yaml"], {"XDG_CACHE_HOME": str(folder / "cache")}, port, folder, program=program)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, api: Web) -> Iterator[Gestaltd]:
    made = host_of(tmp_path_factory.mktemp("crossref"), {"path": str(PLUGIN / "manifest.yaml")}, api)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_a_value_in_the_path_is_encoded_and_the_part_that_counts_is_the_result(host: Gestaltd, api: Web) -> None:
    work = host.get("/crossref/works.get", doi=DOI, mailto="a@example.com")
    assert work == RECORDED["work"]["message"]
    assert api.paths()[-1] == "/works/10.1037%2F0003-066X.59.1.29?mailto=a%40example.com"
    assert api.asked[-1].headers["user-agent"] == "gestalt-plugin-crossref/0.1"
    assert host.get("/crossref/works.agency", doi=DOI)["agency"] == {"id": "crossref", "label": "Crossref"}


def test_one_page_is_what_the_caller_asks_for(host: Gestaltd, api: Web) -> None:
    page = host.post("/crossref/works.search", {"query": "structure", "rows": 2, "offset": 1}).json()
    assert page["items"] == ITEMS[1:3]
    assert page["total-results"] == len(ITEMS)
    assert api.paths()[-1] == "/works?offset=1&query=structure&rows=2"


@pytest.mark.parametrize(
    ("operation", "more"), [("works.all", {"query": "structure"}), ("journals.works", {"issn": "0003-066X"})]
)
def test_all_pages_become_one_list(host: Gestaltd, api: Web, operation: str, more: dict[str, str]) -> None:
    before = len(api.asked)
    answer = host.post(f"/crossref/{operation}", {**more, "rows": 2})
    assert (answer.status_code, answer.json()) == (200, ITEMS), answer.text
    queries = [parse_qs(urlsplit(path).query) for path in api.paths()[before:]]
    assert [int(query.get("offset", ["0"])[0]) for query in queries][:3] == [0, 2, 4]
    assert {query["rows"][0] for query in queries} == {"2"}


def test_more_pages_than_the_manifest_allows_are_refused(host: Gestaltd) -> None:
    answer = host.post("/crossref/works.all", {"query": "structure", "rows": 2, "filter": "times:40"})
    assert answer.status_code == 502
    assert "10" in answer.json()["error"]
    assert "/works" in answer.json()["error"]


def test_what_is_missing_or_unknown_is_told(host: Gestaltd, api: Web) -> None:
    before = len(api.asked)
    assert host.post("/crossref/works.get", {}).json()["error"] == "missing required path parameter: doi"
    assert "query" in host.post("/crossref/works.search", {}).json()["error"]
    assert len(api.asked) == before
    answer = host.post("/crossref/works.get", {"doi": "10.5555/nowhere"})
    assert (answer.status_code, answer.text) == (404, "not here")


def test_the_catalogue_is_the_manifest(host: Gestaltd) -> None:
    operations = {item["id"]: item for item in host.get("/integrations/crossref/operations")}
    assert sorted(operations) == ["journals.works", "works.agency", "works.all", "works.get", "works.search"]
    assert operations["works.all"]["path"] == "/works"
    assert operations["works.get"]["inputSchema"]["required"] == ["doi"]


class Released:
    """A release of the plugin, and an installation that names it."""

    def __init__(self, folder: Path, api: Web) -> None:
        self.api, self.key = api, new_key()
        request = ReleaseRequest("1.2.3", folder / "dist", keys=[self.key])
        asyncio.run(release(PLUGIN, request, {"PATH": os.environ["PATH"]}))
        self.metadata = folder / "dist" / "provider-release.yaml"
        self.work = folder / "work"
        self.work.mkdir()
        self.installed = self.work / ".gestaltd" / "providers" / "crossref"

    def host(self, *options: str) -> Gestaltd:
        """Write the configuration, which pins the key; return a host that is not started."""
        keys = f'providerKeys: {{us: "{public_key(self.key)}"}}'
        verified = "    verify: required\n"
        return host_of(self.work, str(self.metadata), self.api, *options, more=keys, beside=verified)

    def run(self, *words: str) -> str:
        command = [sys.executable, "-m", "gestalt_host.daemon", *words, "--config", "gestalt.yaml"]
        environ = {**os.environ, "XDG_CACHE_HOME": str(self.work / "cache")}
        done = subprocess.run(
            command, cwd=self.work, env=environ, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def released(tmp_path: Path, api: Web) -> Released:
    return Released(tmp_path, api)


def test_the_release_is_one_archive_for_every_platform(released: Released, tmp_path: Path) -> None:
    metadata = read_metadata(released.metadata.read_bytes(), "x")
    assert (metadata.kind, metadata.runtime, metadata.version) == ("plugin", "declarative", "1.2.3")
    assert metadata.package == "github.com/gestalt-workflows/gestalt/plugins/crossref"
    assert {platform: item.path for platform, item in metadata.artifacts.items()} == {
        "generic": "gestalt-plugin-crossref_v1.2.3.tar.gz"
    }
    (tmp_path / "unpacked").mkdir()
    extract(tmp_path / "dist" / "gestalt-plugin-crossref_v1.2.3.tar.gz", tmp_path / "unpacked")
    assert [path.name for path in (tmp_path / "unpacked").iterdir()] == ["manifest.yaml"]
    assert (
        read_manifest(find_manifest(tmp_path / "unpacked")).surfaces == read_manifest(PLUGIN / "manifest.yaml").surfaces
    )


def test_a_locked_release_is_served_and_called(released: Released) -> None:
    released.host("--locked")
    released.run("lock")
    locked = json.loads((released.work / "gestalt.lock.json").read_text())["providers"]["plugin"]["crossref"]
    assert (locked["runtime"], list(locked["archives"])) == ("declarative", ["generic"])
    assert locked["catalogOperations"] == ["journals.works", "works.agency", "works.all", "works.get", "works.search"]
    released.run("sync", "--locked")
    released.run("sync", "--locked", "--check")
    before = {path: path.lstat().st_mtime_ns for path in released.installed.rglob("*")}
    host = released.host("--locked")
    try:
        host.start()
        assert [child.name for child in host.children()] == ["main"]
        assert host.get("/crossref/works.get", doi=DOI) == RECORDED["work"]["message"]
    finally:
        host.stop()
    assert {path: path.lstat().st_mtime_ns for path in released.installed.rglob("*")} == before


def test_a_manifest_that_was_changed_after_its_installation_is_not_served(released: Released) -> None:
    released.host()
    released.run("lock")
    released.run("sync", "--locked")
    manifest = released.installed / "manifest.yaml"
    manifest.write_text(manifest.read_text().replace("https://api.crossref.org", "https://evil.example"))
    host = released.host("--locked")
    host.launch()
    try:
        assert host.wait() == 1
    finally:
        host.stop()
    assert "manifest.yaml: its content has been changed" in host.log
    assert "gestaltd sync --locked" in host.log


def test_a_release_that_another_key_has_signed_is_refused(released: Released) -> None:
    released.key = new_key()  # the one that the configuration pins
    released.host()
    with pytest.raises(AssertionError, match="is signed by no key of providerKeys; pinned are us"):
        released.run("lock")
    assert not (released.work / "gestalt.lock.json").exists()
