#!/usr/bin/env python3
"""Replay what was recorded of packages, releases, lock files and configuration files against a `gestaltd`.

    replay_packaging.py [--program COMMAND] [--jobs N] [--part PART]... RECORDINGS

RECORDINGS is the folder whose README.md describes the rows. Each row is played in a folder and with a HOME of its own, as an
operator would: judged are the exit status, what lies on disk afterwards, what was asked of a server, and of messages only what
the README says. Rows that differ are printed, then how many agree; exit status 1 if any differs. Needs Python 3.11 alone.

Parts: config, archives, lock, stale, downloads, release; all of them where none is named.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import make_archives

Row = dict[str, Any]
LIMIT_S = 90.0
SERVE_LIMIT_S = 25.0
PORT_WITHIN_S = 120.0
LOCK_PORT = 18163
"""Stands in the recorded lock files and, hashed, in their digests, so no other port will do."""
RECORDED_PORTS = ("18160", "18161")
"""Of the downloads; any two ports do, and free ones are put in their place."""
EXTERNAL_CREDENTIALS = "\n  externalCredentials: {default: {source: ./ec/manifest.json}}"
CONFIG_HEAD = "apiVersion: gestaltd.config/v5\nserver: {encryptionKey: k}\n"
PREPARED_CONFIG = """apiVersion: gestaltd.config/v5
server:
  encryptionKey: k
providers:
  indexeddb:
    main:
      source: ../www/st/indexeddb/provider-release.yaml
plugins:
  tasks:
    source: {url: 'http://127.0.0.1:<port>/st/plugin/provider-release.yaml', auth: {token: t0ken}}
"""


class Differs(Exception):
    """What a row's play shows is not what is expected; the text says how."""


@dataclass
class Play:
    """Where and with which program rows are played."""

    program: list[str]
    recordings: Path
    scratch: Path
    jobs: int
    agree: int = 0
    total: int = 0
    printing: threading.Lock = field(default_factory=threading.Lock)

    def rows(self, name: str) -> list[Row]:
        text = (self.recordings / name).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.split("\n") if line.strip()]

    def folder(self, *parts: str) -> Path:
        path = self.scratch.joinpath(*parts)
        path.mkdir(parents=True)
        return path

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        home.mkdir(parents=True, exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
        return {**kept, "HOME": str(home), **more}

    def run(self, folder: Path, *words: str, limit_s: float = LIMIT_S, env: dict[str, str] | None = None) -> Ended:
        """Run the program in a folder; HOME lies beside it."""
        env = self.environment(folder.parent / f".home-{folder.name}") if env is None else env
        process = subprocess.Popen(
            [*self.program, *words], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        try:
            out, _ = process.communicate(timeout=limit_s)
            status: int | None = process.returncode
        except subprocess.TimeoutExpired:
            status = None
            process.terminate()
            try:
                out, _ = process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                out, _ = process.communicate()
        return Ended(" ".join(words), status, out.decode(errors="replace"))

    def play(self, part: str, rows: Sequence[Row], one: Callable[[Row], None], jobs: int = 0) -> None:
        """Play rows side by side, count and print."""

        def guarded(row: Row) -> bool:
            try:
                one(row)
            except Differs as difference:
                self.tell(f"{part}: {row['name']}: {difference}")
            except Exception as error:  # a row that cannot be played differs, and the others go on
                self.tell(f"{part}: {row['name']}: {type(error).__name__}: {error}")
            else:
                return True
            return False

        with ThreadPoolExecutor(jobs or self.jobs) as pool:
            results = list(pool.map(guarded, rows))
        self.agree += sum(results)
        self.total += len(rows)
        print(f"{part}: {sum(results)} of {len(rows)} rows agree", flush=True)

    def tell(self, text: str) -> None:
        with self.printing:
            print(text[:600], flush=True)


@dataclass(frozen=True)
class Ended:
    """A command that has been run; ``status`` is None where it did not end by itself."""

    command: str
    status: int | None
    text: str

    @property
    def last(self) -> str:
        return next((line.strip() for line in reversed(self.text.splitlines()) if line.strip()), "(it said nothing)")

    @property
    def failed(self) -> bool:
        return self.status not in (0, None)

    def must_succeed(self) -> Ended:
        if self.status != 0:
            raise Differs(f"{self.command} must succeed, ended with {self.status}: {self.last}")
        return self

    def must_fail(self, why: object) -> None:
        if not self.failed:
            raise Differs(f"{self.command} must fail ({why}), ended with {self.status}: {self.last}")
        if not self.text.strip():
            raise Differs(f"{self.command} must say why it fails")


# --- configurations ---


def play_config(play: Play) -> None:
    def one(row: Row) -> None:
        want = {**row, **row.get("deviation", {})}
        folder = play.folder("config", make_archives.sha(row["name"].encode())[:12]) / "w"
        shutil.copytree(play.recordings / "base", folder)
        for program in folder.rglob("foo"):
            program.chmod(0o755)
        for name, text in want["files"].items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = text if row.get("verbatim") else text.replace(EXTERNAL_CREDENTIALS, "")
            path.write_bytes(text.encode("utf-8", "surrogateescape"))
        env = play.environment(folder.parent / "home")
        for name, value in row["environment"].items():
            if value is None:
                env.pop(name, None)
            else:
                env[name] = value.replace("$DIR", str(folder))
        ended = play.run(folder, *(word.replace("$DIR", str(folder)) for word in want["command"]), env=env)
        shutil.rmtree(folder.parent, ignore_errors=True)
        if want["expect"] == "error":
            ended.must_fail(want.get("meaning"))
            if want.get("path", "") not in ended.text:
                raise Differs(f"the message must name {want['path']!r}: {ended.last}")
            return
        ended.must_succeed()
        if "base_url" in want:
            found = re.search(r"base.?url[\"']?[:=]?[ \t]*[\"']?(.*)", ended.text, re.IGNORECASE)
            shown = found[1].split('"')[0].strip() if found else ""
            if shown != (want["base_url"] or "(not set)"):
                raise Differs(f"base URL must be {want['base_url']!r}, is {shown!r}")

    play.play("config", play.rows("config.jsonl"), one)


# --- archives ---


def play_archives(play: Play) -> None:
    made = play.folder("archives", "made")

    def one(row: Row) -> None:
        expect = row.get("ours", row["expect"])
        folder = play.folder("archives", "cases", row["name"])
        make_archives.make(row, str(made))
        (folder / "gestalt.yaml").write_text(
            f"{CONFIG_HEAD}providers:\n  indexeddb:\n    main: {{source: ../../made/{row['name']}/provider-release.yaml}}\n")
        names = [str(entry.get("name", "")) for entry in row["archive"].get("entries", ())]
        outside = [Path(name) for name in names if name.startswith("/") and not Path(name).exists()]
        ended = play.run(folder, "lock", "--config", "gestalt.yaml")
        if ended.status == 0:
            ended = play.run(folder, "sync", "--locked", "--config", "gestalt.yaml")
        if ended.status is None:
            raise Differs("it does not end")
        known = {"gestalt.yaml", "gestalt.lock.json", "indexeddb", ".gestaltd"}
        escaped = [*filter(Path.exists, outside), *(path for path in folder.iterdir() if path.name not in known)]
        if escaped:
            raise Differs(f"written outside of the prepared directory: {', '.join(map(str, escaped))}")
        prepared = folder / "indexeddb" / "main"
        if ended.failed:
            if expect == "accepted":
                raise Differs(f"must be accepted: {ended.last}")
            ended.must_fail(row.get("meaning"))
            if prepared.exists() and any(prepared.iterdir()):
                raise Differs(f"refused, but something was left: {sorted(path.name for path in prepared.iterdir())}")
        elif expect == "refused":
            raise Differs(f"must be refused ({row.get('meaning') or row.get('advice')})")
        elif "ours" not in row:
            _require_installed(row, prepared)

    play.play("archives", play.rows("archives.jsonl"), one)


def _require_installed(row: Row, prepared: Path) -> None:
    found = {path.relative_to(prepared).as_posix() for path in prepared.rglob("*") if path.is_file()}
    if "installed_count" in row:
        if len(found) < row["installed_count"]:
            raise Differs(f"{len(found)} files are installed, not {row['installed_count']}")
        return
    recorded = row.get("installs", ())
    for name, mode, *size in recorded:  # a directory has no size
        path = prepared / name
        if not path.exists():
            raise Differs(f"{name} is not installed")
        if f"{path.stat().st_mode & 0o7777:o}" != mode:
            raise Differs(f"{name} has mode {path.stat().st_mode & 0o7777:o}, not {mode}")
        if size and path.stat().st_size != size[0]:
            raise Differs(f"{name} has {path.stat().st_size} bytes, not {size[0]}")
    # What begins with a dot may be a record of the installation itself.
    if more := {name for name in found - {name for name, *_ in recorded} if not Path(name).name.startswith(".")}:
        raise Differs(f"also installed: {sorted(more)}")


# --- servers ---


class Server(http.server.ThreadingHTTPServer):
    """Serves files below ``root``, or what ``answer`` says, and notes each request: port, path, Authorization."""

    daemon_threads = allow_reuse_address = True

    def __init__(self, root: Path, port: int = 0, answer: Callable[[Handler], None] | None = None) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.root, self.answer = root, answer
        self.asked: list[tuple[int, str, str | None]] = []


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.server.server_port, self.path, self.headers["Authorization"]))
        if self.server.answer is None:
            self.send_file(unquote(urlsplit(self.path).path))
        else:
            self.server.answer(self)

    do_HEAD = do_GET

    def send_file(self, path: str) -> None:
        file = self.server.root / path.lstrip("/")
        if file.resolve().is_relative_to(self.server.root.resolve()) and file.is_file():
            self.send(200, file.read_bytes())
        else:
            self.send(404)

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def serving(root: Path, port: int = 0, answer: Callable[[Handler], None] | None = None) -> Iterator[Server]:
    """Serve until the end of the block. A port that must be the recorded one is waited for: others may play beside us."""
    deadline = time.monotonic() + PORT_WITHIN_S
    while True:
        try:
            server = Server(root, port, answer)
            break
        except OSError:
            if not port or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


# --- lock files ---


def play_lock(play: Play) -> None:
    """`lock` gives the recorded file byte for byte; the digests in it; the commands that must succeed behind it."""
    root = play.scratch / "lock"
    shutil.copytree(play.recordings / "lock", root)
    for row in play.rows("lock/archives.jsonl"):
        make_archives.make(row, str(root))
    cases = [{"name": path.parent.name, "wanted": path.read_bytes()} for path in sorted(root.glob("*/gestalt.lock.json"))]
    locks: dict[str, Any] = {}

    def locked(row: Row) -> None:
        file = root / row["name"] / "gestalt.lock.json"
        file.unlink()
        play.run(file.parent, "lock", "--config", "gestalt.yaml").must_succeed()
        locks[row["name"]] = json.loads(file.read_bytes())
        if file.read_bytes() != row["wanted"]:
            ours, wanted = file.read_text().splitlines(), row["wanted"].decode().splitlines()
            line = next((pair for pair in zip(ours, wanted) if pair[0] != pair[1]), (f"{len(ours)} lines", f"{len(wanted)} lines"))
            raise Differs(f"another lock file: {line[0].strip()} instead of {line[1].strip()}")

    def behind(row: Row) -> None:
        asked = 0
        for words in (("lock", "--check"), ("sync", "--locked"), ("sync", "--locked", "--check")):
            asked = len(server.asked)
            play.run(root / row["name"], *words, "--config", "gestalt.yaml").must_succeed()
        if len(server.asked) != asked:
            raise Differs("sync --locked --check asked the server")

    def digest(row: Row) -> None:
        entry = locks.get(row["case"], {}).get("providers", {}).get(row["section"], {}).get(row["entry"], {})
        if entry.get("inputDigest") != row["inputDigest"]:
            raise Differs(f"{row['section']}.{row['entry']}: {entry.get('inputDigest')}, not {row['inputDigest']}")

    with serving(root / "www", LOCK_PORT) as server:
        play.play("lock files", cases, locked)
        play.play("commands behind lock", cases, behind, jobs=1)  # the requests of one must not count for another
    names = {case["name"] for case in cases}
    digests = [{**row, "name": row["case"]} for row in play.rows("lock/digests.jsonl") if row["case"] in names]
    play.play("digests", digests, digest)


# --- installations that were changed ---


class Installation:
    """Locked and prepared in ``base/work``; what it was installed from is in ``base/www/st``."""

    def __init__(self, base: Path) -> None:
        self.base, self.work, self.www = base, base / "work", base / "www" / "st"
        self.config, self.lockfile = self.work / "gestalt.yaml", self.work / "gestalt.lock.json"
        self.store, self.plugin = self.work / "indexeddb" / "main", self.work / ".gestaltd" / "providers" / "tasks"

    @property
    def program(self) -> Path:
        return self.store / "foo"

    def in_manifest(self, **members: Any) -> None:
        path = self.store / "manifest.json"
        value = json.loads(path.read_text())
        if "args" in members:
            value["entrypoint"]["args"] = members.pop("args")
        path.write_text(json.dumps({**value, **members}))

    def in_lock(self, change: Callable[[Any], object], **layout: Any) -> None:
        value = json.loads(self.lockfile.read_text())
        change(value)
        self.lockfile.write_text(json.dumps(value, **(layout or {"indent": 2})) + "\n")

    def in_entry(self, change: Callable[[Row], object], *, plugin: bool = False) -> None:
        section, name = ("plugin", "tasks") if plugin else ("indexeddb", "main")
        self.in_lock(lambda lock: change(lock["providers"][section][name]))

    def in_archives(self, change: Callable[[Row], Row], *, plugin: bool = False) -> None:
        self.in_entry(lambda entry: entry.update(archives=change(entry["archives"])), plugin=plugin)

    def in_host_archive(self, plugin: bool = False, **members: str | None) -> None:
        """Change members of the entry of the host's platform; None takes one away."""

        def changed(archives: Row) -> Row:
            archive = {**archives["linux/amd64"], **members}
            return {**archives, "linux/amd64": {key: value for key, value in archive.items() if value is not None}}

        self.in_archives(changed, plugin=plugin)

    def archive_of_host(self, plugin: bool = False) -> Row:
        section, name = ("plugin", "tasks") if plugin else ("indexeddb", "main")
        archive: Row = json.loads(self.lockfile.read_text())["providers"][section][name]["archives"]["linux/amd64"]
        return archive


def _replace(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new, 1))


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def _instead_of(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def _one_platform_more(it: Installation) -> None:
    path = it.www / "indexeddb" / "provider-release.yaml"
    value = json.loads(path.read_text())
    value["artifacts"]["linux/arm64"] = value["artifacts"]["linux/amd64"]
    path.write_text(json.dumps(value))


ZEROS = "0" * 64
OTHER = "github.com/acme/providers/indexeddb/other"
CHANGES: dict[str, Callable[[Installation], object]] = {
    "nothing": lambda it: None,
    "dir-removed": lambda it: shutil.rmtree(it.store),
    "executable-removed": lambda it: it.program.unlink(),
    "executable-changed": lambda it: it.program.write_text("#!/bin/sh\nexit 1\n"),
    "executable-not-executable": lambda it: it.program.chmod(0o644),
    "executable-symlink": lambda it: _instead_of(it.program, lambda path: path.symlink_to("/bin/true")),
    "executable-dir": lambda it: _instead_of(it.program, Path.mkdir),
    "manifest-removed": lambda it: (it.store / "manifest.json").unlink(),
    "manifest-broken": lambda it: (it.store / "manifest.json").write_text("{"),
    "manifest-version": lambda it: it.in_manifest(version="9.9.9"),
    "manifest-source": lambda it: it.in_manifest(source=OTHER),
    "manifest-kind": lambda it: it.in_manifest(kind="workflow"),
    "manifest-display": lambda it: it.in_manifest(displayName="Other"),
    "manifest-entry-args": lambda it: it.in_manifest(args=["--evil"]),
    "extra-file": lambda it: (it.store / "extra").write_text("x"),
    "catalog-changed": lambda it: (it.plugin / "catalog.yaml").write_text("name: x\noperations: []\n"),
    "catalog-removed": lambda it: (it.plugin / "catalog.yaml").unlink(),
    "lock-removed": lambda it: it.lockfile.unlink(),
    "lock-broken": lambda it: it.lockfile.write_text("{"),
    "lock-empty": lambda it: it.lockfile.write_text(""),
    "lock-schema": lambda it: it.in_lock(lambda lock: lock.update(schema="other")),
    "lock-v4": lambda it: it.in_lock(lambda lock: lock.update(schemaVersion=4)),
    "lock-v5": lambda it: it.in_lock(lambda lock: lock.update(schemaVersion=5)),
    "lock-v7": lambda it: it.in_lock(lambda lock: lock.update(schemaVersion=7)),
    "lock-revision": lambda it: it.in_lock(lambda lock: lock.update(revision=3)),
    "lock-unknown-field": lambda it: it.in_lock(lambda lock: lock.update(unknown=1)),
    "lock-unknown-section": lambda it: it.in_lock(lambda lock: lock["providers"].update(unknown={})),
    "lock-unknown-entry-field": lambda it: it.in_entry(lambda entry: entry.update(unknown=1)),
    "lock-entry-missing": lambda it: it.in_lock(lambda lock: lock["providers"]["indexeddb"].pop("main")),
    "lock-plugin-entry-missing": lambda it: it.in_lock(lambda lock: lock["providers"]["plugin"].pop("tasks")),
    "lock-extra-entry": lambda it: it.in_lock(
        lambda lock: lock["providers"]["indexeddb"].update(more=lock["providers"]["indexeddb"]["main"])),
    "lock-digest": lambda it: it.in_entry(lambda entry: entry.update(inputDigest=ZEROS)),
    "lock-package": lambda it: it.in_entry(lambda entry: entry.update(package=OTHER)),
    "lock-kind": lambda it: it.in_entry(lambda entry: entry.update(kind="workflow")),
    "lock-runtime": lambda it: it.in_entry(lambda entry: entry.update(runtime="ui")),
    "lock-version": lambda it: it.in_entry(lambda entry: entry.update(version="9.9.9")),
    "lock-source": lambda it: it.in_entry(lambda entry: entry.update(source="../www/other/provider-release.yaml")),
    "lock-sha": lambda it: it.in_host_archive(sha256=ZEROS),
    "lock-sha-missing": lambda it: it.in_host_archive(sha256=None),
    "lock-url": lambda it: it.in_host_archive(url="other.tar.gz"),
    "lock-platform-missing": lambda it: it.in_archives(lambda archives: {"darwin/arm64": archives["linux/amd64"]}),
    "lock-archives-missing": lambda it: it.in_entry(lambda entry: entry.pop("archives")),
    "lock-manifest-missing": lambda it: it.in_entry(lambda entry: entry.pop("manifest")),
    "lock-manifest-changed": lambda it: it.in_entry(lambda entry: entry["manifest"].update(version="9.9.9")),
    "lock-catalog-ops": lambda it: it.in_entry(lambda entry: entry.update(catalogOperations=["other"]), plugin=True),
    "lock-catalog-fp": lambda it: it.in_entry(lambda entry: entry.update(catalogFingerprint=ZEROS), plugin=True),
    "lock-compact": lambda it: it.in_lock(lambda lock: None, separators=(",", ":"), sort_keys=True),
    "lock-duplicate-key": lambda it: _replace(it.lockfile, '"revision": 0', '"revision": 0,\n  "revision": 0'),
    "lock-case-keys": lambda it: _replace(it.lockfile, '"inputDigest"', '"InputDigest"'),
    "new-lock-sha": lambda it: it.in_host_archive(sha256=ZEROS),
    "new-lock-sha-local-missing": lambda it: it.in_host_archive(sha256=None),
    "new-lock-sha-remote": lambda it: it.in_host_archive(plugin=True, sha256=ZEROS),
    "new-lock-sha-remote-upper": lambda it: it.in_host_archive(
        plugin=True, sha256=it.archive_of_host(plugin=True)["sha256"].upper()),
    "new-lock-sha-remote-missing": lambda it: it.in_host_archive(plugin=True, sha256=None),
    "new-lock-url-other-origin": lambda it: it.in_host_archive(
        plugin=True, url=it.archive_of_host(plugin=True)["url"].replace("127.0.0.1", "localhost")),
    "new-lock-url-relative": lambda it: it.in_host_archive(plugin=True, url="archive.tar.gz"),
    "new-lock-url-404": lambda it: it.in_host_archive(
        plugin=True, url=it.archive_of_host(plugin=True)["url"].replace("plugin/archive", "none")),
    "new-lock-platform-missing": lambda it: it.in_archives(
        lambda archives: {"darwin/arm64": archives["linux/amd64"]}, plugin=True),
    "new-lock-generic": lambda it: it.in_archives(lambda archives: {"generic": archives["linux/amd64"]}, plugin=True),
    "new-locked-unsynced": lambda it: None,
    "new-archive-replaced": lambda it: shutil.copy(
        it.www / "indexeddb" / "archive.tar.gz", it.www / "plugin" / "archive.tar.gz"),
    "archive-gone-prepared": lambda it: (it.www / "plugin" / "archive.tar.gz").unlink(),
    "local-metadata-comment": lambda it: _append(it.www / "indexeddb" / "provider-release.yaml", "# comment\n"),
    "local-metadata-artifact-added": _one_platform_more,
    "local-metadata-gone": lambda it: (it.www / "indexeddb" / "provider-release.yaml").unlink(),
    "local-archive-gone": lambda it: (it.www / "indexeddb" / "archive.tar.gz").unlink(),
    "remote-metadata-version": lambda it: _replace(
        it.www / "plugin" / "provider-release.yaml", '"version": "1.0.0"', '"version": "1.0.1"'),
    "config-changed": lambda it: _replace(
        it.config, "token: t0ken}}", "token: other}}\n    config: {a: 1}\n    env: {A: b}\n    displayName: Other"),
    "config-entry-added": lambda it: _append(
        it.config, "  more:\n    source: ../www/st/plugin/provider-release.yaml\n"),
    "config-entry-removed": lambda it: it.config.write_text(it.config.read_text().split("plugins:")[0]),
    "config-allowed-operations": lambda it: _append(it.config, "    allowedOperations: {list: {}}\n"),
    "config-allowed-unknown": lambda it: _append(it.config, "    allowedOperations: {nope: {}}\n"),
}
"""What `change` of a row means, by the row's name."""


def play_stale(play: Play) -> None:
    base = play.folder("installations")  # the name is in messages, where "stale" would mean something
    releases = {row["name"]: row for row in play.rows("lock/archives.jsonl")}
    for name in ("indexeddb", "plugin"):
        make_archives.make({**releases[f"www/{name}"], "name": name}, str(base / "www" / "st"))
    mine = threading.local()

    def installation() -> tuple[Server, Path]:
        """A server for this thread alone, and an installation that was locked and prepared from it, made once."""
        if not hasattr(mine, "server"):
            mine.server = stack.pop()
            it = Installation(base / f"prepared-{mine.server.server_port}")
            it.work.mkdir(parents=True)
            shutil.copytree(base / "www", it.base / "www")
            it.config.write_text(PREPARED_CONFIG.replace("<port>", str(mine.server.server_port)))
            mine.server.root = it.base / "www"
            mine.base, mine.failure = it.base, None
            try:
                play.run(it.work, "lock", "--config", "gestalt.yaml").must_succeed()
                play.run(it.work, "sync", "--locked", "--config", "gestalt.yaml").must_succeed()
            except Differs as failure:
                mine.failure = failure
        if mine.failure is not None:
            raise Differs(f"no installation: {mine.failure}")
        return mine.server, mine.base

    def one(row: Row) -> None:
        server, ready = installation()
        it = Installation(base / "cases" / row["name"])
        shutil.copytree(ready, it.base, symlinks=True)
        server.root = it.base / "www"
        if not row["prepared"]:
            for path in (it.work / "indexeddb", it.work / ".gestaltd"):
                shutil.rmtree(path, ignore_errors=True)
        CHANGES[row["name"]](it)
        found = []
        for command, recorded in row["results"].items():
            try:
                _require_result(play, it, command, row.get("ours", {}).get(command, recorded))
            except Differs as difference:
                found.append(str(difference))
        if found:
            raise Differs("; ".join(found))

    with serving(base) as first, serving(base) as second, serving(base) as third:
        stack = [first, second, third]
        play.play("stale", play.rows("stale.jsonl"), one, jobs=min(play.jobs, len(stack)))


def _require_result(play: Play, it: Installation, command: str, want: Any) -> None:
    words = command.removesuffix(" (again)").split()
    limit_s = SERVE_LIMIT_S if words[0] == "serve" else LIMIT_S
    ended = play.run(it.work, *words, "--config", "gestalt.yaml", limit_s=limit_s)
    if want == "any":
        return
    if isinstance(want, dict) and "status" in want:
        for name, status in want["status"].items():
            if not re.search(rf"\s{re.escape(name)}\s.*\b{status}\s*$", ended.text, re.MULTILINE):
                raise Differs(f"{command}: {name} must be {status}: {ended.last}")
    elif isinstance(want, str) and want.startswith("passes"):
        # The start fails later, since the executables are scripts that end.
        if re.search(r"gestaltd (lock|sync)|stale|out of date|unknown option|flag provided", ended.text):
            raise Differs(f"{command}: {ended.last}")
    elif want == "ok":
        ended.must_succeed()
    else:
        ended.must_fail(want)
        text = want["error"] if isinstance(want, dict) else ""
        for mark, suggested in (("<LOCK>", "gestaltd lock"), ("<SYNC>", "gestaltd sync")):
            if mark in text and suggested not in ended.text:
                raise Differs(f"{command} must suggest {suggested}: {ended.last}")


# --- downloads ---


class Tree:
    """What both servers of the downloads serve: releases, and paths that redirect, fail, want a token or break off."""

    def __init__(self, root: Path, archive: bytes) -> None:
        self.root, self.archive = root, archive
        self._failed: dict[str, int] = {}

    def release(self, name: str, path: str) -> None:
        artifact = {"path": path.replace("$ROOT", str(self.root)), "sha256": make_archives.sha(self.archive)}
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "provider-release.yaml").write_text(json.dumps({
            "schema": "gestaltd-provider-release", "schemaVersion": 1, "package": "github.com/acme/providers/indexeddb/foo",
            "kind": "indexeddb", "version": "1.0.0", "runtime": "executable", "artifacts": {"linux/amd64": artifact}}))

    def answer(self, request: Handler) -> None:
        path = request.path
        if found := re.match(r"/r/(\d+)/(\d+)(/.*)", path):
            same = int(found[2]) == request.server.server_port
            host = request.headers["Host"].split(":")[0] if same else "127.0.0.1"
            request.send(int(found[1]), Location=f"http://{host}:{found[2]}{found[3]}")
        elif found := re.match(r"/status/(\d+)", path):
            request.send(int(found[1]))
        elif path.startswith("/loop/"):
            request.send(302, Location=path)
        elif path.startswith("/auth/"):
            if request.headers["Authorization"] == "Bearer t0ken":
                self._plain(request, path.removeprefix("/auth"))
            else:
                request.send(401)
        elif path.startswith("/short/"):
            request.send_response(200)
            request.send_header("Content-Length", str(len(self.archive)))
            request.end_headers()
            request.wfile.write(self.archive[: len(self.archive) // 2])
            request.close_connection = True
        elif found := re.match(r"/flaky/(\d+)(/.*)", path):
            self._failed[path] = self._failed.get(path, 0) + 1
            if self._failed[path] <= int(found[1]):
                request.send(503)
            else:
                self._plain(request, found[2])
        else:
            self._plain(request, path)

    def _plain(self, request: Handler, path: str) -> None:
        path = unquote(urlsplit(path).path)
        if path.startswith("/h") and Path(path).name in ("archive.tar.gz", "my archive.tar.gz"):
            request.send(200, self.archive)
        else:
            request.send_file(path)


def play_downloads(play: Play) -> None:
    ports = free_ports(len(RECORDED_PORTS))
    text = json.dumps(play.rows("downloads.jsonl"))
    for recorded, port in zip(RECORDED_PORTS, ports):
        text = text.replace(recorded, str(port))
    rows: list[Row] = json.loads(text)
    release = next(row for row in play.rows("lock/archives.jsonl") if row["name"] == "www/indexeddb")
    tree = Tree(play.folder("downloads", "www"), make_archives.archive_bytes(release["archive"]))
    for row in rows:
        found = re.search(r"/(h\w*)/provider-release\.yaml", row["source"])
        if found and row["artifact_path"] is not None:
            tree.release(found[1], row["artifact_path"])
    (tree.root / "h").mkdir(exist_ok=True)
    (tree.root / "h" / "archive.tar.gz").write_bytes(tree.archive)

    def one(row: Row) -> None:
        folder = play.folder("downloads", "cases", row["name"])
        (folder / "gestalt.yaml").write_text(f"{CONFIG_HEAD}providers:\n  indexeddb:\n    main:\n      source: {row['source']}\n")
        before = [len(server.asked) for server in servers]
        ended = play.run(folder, "lock", "--config", "gestalt.yaml")
        if ended.status == 0:
            ended = play.run(folder, "sync", "--locked", "--config", "gestalt.yaml")
        if row["expect"] == "ok":
            ended.must_succeed()
        else:
            ended.must_fail(row.get("meaning"))
        asked = {(port, unquote(path), token) for server, count in zip(servers, before) for port, path, token in server.asked[count:]}
        _require_requests(row, asked)
        if row["expect"] == "ok" and "locked_url" in row:
            entry = json.loads((folder / "gestalt.lock.json").read_text())["providers"]["indexeddb"]["main"]
            url = next(iter(entry["archives"].values()))["url"]
            if url != row["locked_url"]:
                raise Differs(f"locked url {url}, not {row['locked_url']}")

    with serving(tree.root, ports[0], tree.answer) as first, serving(tree.root, ports[1], tree.answer) as second:
        servers = (first, second)
        play.play("downloads", rows, one, jobs=1)  # the requests of one must not count for another


def _require_requests(row: Row, asked: set[tuple[int, str, str | None]]) -> None:
    """The token goes to the metadata's origin alone (decision 43); else the requests are the recorded ones."""
    metadata = re.search(r"https?://[^'\"\s,}]+", row["source"])
    origin = urlsplit(metadata[0]).port if metadata else None
    if strayed := [f"{port}{path}" for port, path, token in asked if token and port != origin]:
        raise Differs(f"the token went to {', '.join(strayed)}")
    if "requests" not in row:
        return
    wanted = {
        (item["port"], unquote(item["path"]), item["authorization"] if item["port"] == origin else None)
        for item in row["requests"]
    }
    if missing := wanted - asked:
        raise Differs(f"not asked for: {sorted(map(str, missing))}")
    paths = {path.split("?")[0] for _, path, _ in wanted}
    if more := [f"{port}{path}" for port, path, _ in asked if path.split("?")[0] not in paths]:
        raise Differs(f"also asked for: {more}")


# --- provider release ---


def play_release(play: Play) -> None:
    def one(row: Row) -> None:
        folder = play.scratch / "release" / "source"
        shutil.copytree(play.recordings / "lock" / "src" / row["name"], folder)
        for program in (folder / "bin").iterdir():
            program.chmod(0o755)
        play.run(folder, "provider", "release", "--version", "1.2.3", "--output", "dist").must_succeed()
        made = {path.name for path in (folder / "dist").iterdir()}
        archives = [name for name in made if re.fullmatch(r"gestalt-plugin-[\w-]+_v1\.2\.3(_\w+)*\.tar\.gz", name)]
        if not archives or not {"checksums.txt", "provider-release.yaml"} <= made:
            raise Differs(f"made {sorted(made)}")
        use = play.folder("release", "use")
        (use / "gestalt.yaml").write_text(
            f"{CONFIG_HEAD}providers:\n  indexeddb:\n    main: {{source: ../source/dist/provider-release.yaml, config: {{}}}}\n")
        for words in (("lock",), ("sync", "--locked")):
            play.run(use, *words, "--config", "gestalt.yaml").must_succeed()

    play.play("release", [{"name": "prebuilt"}], one)


PARTS: dict[str, Callable[[Play], None]] = {
    "config": play_config,
    "archives": play_archives,
    "lock": play_lock,
    "stale": play_stale,
    "downloads": play_downloads,
    "release": play_release,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="gestaltd", help="the host's command (default: gestaltd)")
    parser.add_argument("--jobs", type=int, default=(os.cpu_count() or 1) + 1, help="rows played side by side")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; may be repeated")
    parser.add_argument("recordings", type=Path, metavar="RECORDINGS", help="the folder of the recordings")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="packaging-") as scratch:
        program = shlex.split(options.program)
        play = Play(program, options.recordings.resolve(), Path(scratch).resolve(), max(1, options.jobs))
        for part in options.part or PARTS:
            PARTS[part](play)
    print(f"{play.agree} of {play.total} rows agree")
    return 0 if play.agree == play.total else 1


if __name__ == "__main__":
    sys.exit(main())
