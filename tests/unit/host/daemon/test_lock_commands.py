"""`lock`, `sync`, and what `serve --locked` checks: what is refused, by which name, and what is left alone."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gestalt_host.daemon.commands import load_config
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.locking.faults import LockUse, require_installed
from gestalt_host.daemon.locking.installing import LockedInstallation
from gestalt_host.packages import LaunchCommand, prepare
from gestalt_host.packages.installed.readings import Readings
from gestalt_host.packages.installed.record import FILE_NAME as RECORD
from gestalt_host.packages.platforms import host_platform
from gestalt_host.packages.signatures import new_key, public_key
from tests.support.rigs.installation import CONFIG, Installation, publish, refusal, tree_of
from tests.support.rigs.installation import installation as installation
from tests.support.rigs.web import serving

Change = Callable[[Installation], object]


def test_what_is_locked_and_synced_passes_every_check(installation: Installation) -> None:
    installation.ready()
    for check in (installation.require_installed, installation.validate):
        check()
    installation.lock("check")
    installation.sync("check")


def test_lock_makes_no_artifacts_and_nothing_but_the_lock_file(installation: Installation) -> None:
    installation.lock()
    assert sorted(path.name for path in installation.work.iterdir()) == ["gestalt.lock.json", "gestalt.yaml"]


def _manifest(installation: Installation, **members: object) -> None:
    path = installation.store / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **members}))


def _put(path: Path, make: Callable[[Path], None]) -> None:
    """Put something else in the file's place."""
    path.unlink()
    make(path)


TAMPERED: dict[str, tuple[Change, str]] = {
    "replaced executable": (lambda it: (it.store / "run").write_text("#!/bin/sh\nexit 1\n"), "run: "),
    "same size executable": (lambda it: (it.store / "run").write_text("#!/bin/sh\nexit 7\n"), "run: "),
    "no x bit": (lambda it: (it.store / "run").chmod(0o644), "run: its mode is 0644"),
    "link": (lambda it: _put(it.store / "run", lambda path: path.symlink_to("/bin/true")), "run: is a link"),
    "directory": (lambda it: _put(it.store / "run", Path.mkdir), "run: is a directory"),
    "missing": (lambda it: (it.store / "run").unlink(), "run: is missing"),
    "arguments": (
        lambda it: _manifest(it, entrypoint={"artifactPath": "run", "args": ["--evil"]}),
        "entrypoint.args is not as in the lock file",
    ),
    "kind": (lambda it: _manifest(it, kind="workflow"), "kind is workflow"),
    "version": (lambda it: _manifest(it, version="9.9.9"), "version is 9.9.9"),
    "no manifest": (lambda it: (it.store / "manifest.json").write_text("{"), "manifest.json"),
    "added file": (lambda it: (it.store / "extra").write_text("x"), "extra: was added"),
    "nothing installed": (lambda it: shutil.rmtree(it.store), "no such file or directory"),
    "no record": (lambda it: (it.store / ".gestalt-installed.json").unlink(), ".gestalt-installed.json"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_what_is_not_as_it_was_installed_is_refused_by_name_and_sync_repairs_it(
    installation: Installation, name: str
) -> None:
    change, named = TAMPERED[name]
    installation.ready()
    change(installation)
    for refused in (refusal(installation.require_installed), refusal(installation.sync, "check")):
        assert refused.startswith('prepared artifact for indexeddb "main" is missing or stale; run `gestaltd sync')
        assert named in refused
        assert "tasks" not in refused
    installation.sync()
    installation.sync("check")
    installation.require_installed()


def test_all_entries_faults_are_told_at_once(installation: Installation) -> None:
    installation.ready()
    (installation.store / "run").write_text("x")
    (installation.plugin / "catalog.yaml").unlink()
    refused = refusal(installation.require_installed)
    assert refused.startswith("2 problems")
    assert "run: its content has been changed" in refused
    assert "catalog.yaml: is missing" in refused


def test_a_release_that_was_published_anew_under_its_version_is_installed_over_the_old_one(
    installation: Installation,
) -> None:
    installation.ready()
    installation.republish("main", package="indexeddb/main", program="#!/bin/sh\nexit 3\n")
    assert "lockfile is out of date" in refusal(installation.sync)
    installation.lock()
    assert "installed from another archive" in refusal(installation.sync, "check")
    installation.sync()
    assert (installation.store / "run").read_text() == "#!/bin/sh\nexit 3\n"


STALE: dict[str, tuple[Change, str]] = {
    "no lock": (lambda it: it.lockfile.unlink(), "source-backed providers require lock metadata"),
    "not JSON": (lambda it: it.lockfile.write_text("{"), "source-backed providers require lock metadata"),
    "entry missing": (
        lambda it: it.lockfile.write_text(
            json.dumps({**json.loads(it.lockfile.read_text()), "providers": {"plugin": it.locked()["plugin"]}})
        ),
        'lock entry for indexeddb "main" is missing or stale',
    ),
    "source": (
        lambda it: it.change_lock("indexeddb", "main", source="../other/provider-release.yaml"),
        'lock entry for indexeddb "main" is stale',
    ),
    "digest": (
        lambda it: it.change_lock("indexeddb", "main", inputDigest="0" * 64),
        'lock entry for indexeddb "main" is stale',
    ),
    "metadata gone": (
        lambda it: (it.folder / "releases/main/provider-release.yaml").unlink(),
        'fingerprinting indexeddb "main"',
    ),
    "signature asked for": (
        lambda it: it.config.write_text(
            CONFIG.replace("main/provider-release.yaml}", "main/provider-release.yaml, verify: required}")
            + f'providerKeys: {{acme: "{public_key(new_key())}"}}\n'
        ),
        'lock entry for indexeddb "main" is stale',
    ),
    "entry added": (
        lambda it: it.config.write_text(f"{CONFIG}  more: {{source: ../releases/tasks/provider-release.yaml}}\n"),
        'lock entry for provider "more" is missing or stale',
    ),
}


@pytest.mark.parametrize("name", STALE)
def test_a_lock_that_is_not_of_the_configuration_is_refused_with_the_command_that_mends_it(
    installation: Installation, name: str
) -> None:
    change, named = STALE[name]
    installation.ready()
    change(installation)
    refused = refusal(installation.require_installed)
    assert named in refused
    assert f"run `gestaltd lock --config {installation.config}`" in refused
    assert f"run `gestaltd lock --config {installation.config}`" in refusal(installation.sync)


def test_suggested_commands_have_the_options_in_use(installation: Installation) -> None:
    refused = refusal(installation.sync, lockfile="other lock.json", artifacts_dir="elsewhere")
    assert f"run `gestaltd lock --config {installation.config} --lockfile 'other lock.json'`" in refused
    assert "--artifacts-dir" not in refused
    installation.lock()
    refused = refusal(installation.sync, "check", artifacts_dir="elsewhere")
    assert f"run `gestaltd sync --locked --config {installation.config} --artifacts-dir elsewhere`" in refused


def test_a_named_lock_file_is_the_one_that_is_used(installation: Installation) -> None:
    other = installation.work / "other.json"
    installation.lock(lockfile=str(other))
    assert not installation.lockfile.exists()
    installation.sync(lockfile=str(other))
    installation.sync("check", lockfile=str(other))


def test_every_entry_that_cannot_be_locked_is_named_and_nothing_is_written(installation: Installation) -> None:
    before = tree_of(installation.work)
    for name in ("main", "tasks"):
        (installation.folder / "releases" / name / "archive.tar.gz").write_bytes(b"no archive")
    refused = refusal(installation.lock)
    assert refused.startswith("2 problems")
    assert 'indexeddb "main": ' in refused
    assert 'provider "tasks": ' in refused
    assert tree_of(installation.work) == before


def test_locking_needs_no_secret_and_no_variable_but_the_tokens_of_sources(installation: Installation) -> None:
    with serving() as web:
        installation.serve(web)
        installation.config.write_text(
            "apiVersion: gestaltd.config/v5\n"
            "server: {encryptionKey: {secret: {provider: default, name: production-key}}}\n"
            "providers:\n"
            "  indexeddb:\n"
            f"    main: {{source: {{url: '{web.url('/main/provider-release.yaml')}', auth: {{token: "
            "{secret: {provider: default, name: release-token}}}}, config: {dsn: '${PRODUCTION_DSN}'}}\n"
        )
        installation.environ["RELEASE_TOKEN"] = "t0ken"
        installation.lock()
        installation.sync()
        installation.sync("check")
        assert {asked.authorization for asked in web.asked} == {"Bearer t0ken"}
        del installation.environ["RELEASE_TOKEN"]
        refused = refusal(installation.lock)
    assert "gestalt.yaml:5: providers.indexeddb.main.source.auth.token: " in refused
    assert "production" not in refused.lower()


def test_sync_takes_an_archive_from_the_cache_and_lock_looks_at_what_is_published(installation: Installation) -> None:
    with serving() as web:
        installation.serve(web)
        text = CONFIG.replace("../releases/tasks", web.url("/tasks"))
        installation.config.write_text(text)
        installation.lock()
        web.put("/tasks/archive.tar.gz", b"another")
        installation.sync()
        asked = len(web.asked)
        installation.sync()
        installation.sync("check")
        installation.require_installed()
        assert len(web.asked) == asked
        assert "digest" in refusal(installation.lock)


def test_check_compares_content_and_writes_nothing(installation: Installation) -> None:
    assert "lockfile is missing or unreadable; run `gestaltd lock" in refusal(installation.lock, "check")
    installation.lock()
    document = json.loads(installation.lockfile.read_text())
    installation.lockfile.write_text(json.dumps({**document, "schemaVersion": 5, "revision": 3}, sort_keys=True))
    before = tree_of(installation.work)
    installation.lock("check")
    installation.change_lock("plugin", "tasks", version="9.9.9")
    assert "lockfile is out of date; run `gestaltd lock" in refusal(installation.lock, "check")
    assert 'plugin "tasks" changed' in refusal(installation.lock, "check")
    assert tree_of(installation.work) != before  # by this test alone
    installation.lock()
    assert installation.lockfile.read_text() == json.dumps(document, indent=2) + "\n"


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ("    allowedOperations: {nope: {}}\n", "no such operation; there are list, sub.add"),
        ("    invokes: [{plugin: tasks, operation: nope}]\n", "accepted are list, sub.add"),
    ],
)
def test_operations_that_are_not_there_are_refused_by_lock(installation: Installation, more: str, named: str) -> None:
    tasks = "  tasks:\n    source: ../releases/tasks/provider-release.yaml\n"
    installation.config.write_text(f"{CONFIG.split('  tasks:')[0]}{tasks}{more}")
    assert named in refusal(installation.lock)
    assert not installation.lockfile.exists()


def test_a_config_that_does_not_fit_the_schema_in_the_archive_is_refused(installation: Installation) -> None:
    schema = json.dumps({"type": "object", "required": ["dsn"]})
    installation.republish("main", package="indexeddb/main", schema__json=schema)
    assert 'provider config validation for indexeddb "main"' in refusal(installation.lock)


def test_a_platform_that_is_not_published_is_refused(installation: Installation) -> None:
    assert refusal(installation.lock, platform="linux") == 'invalid platform "linux", expected os/arch'
    assert "no archive for platform plan9/mips" in refusal(installation.lock, platform=f"{host_platform()},plan9/mips")
    assert not installation.lockfile.exists()


PLUGIN = """
import pathlib
from gestalt_sdk.plugin import Plugin, operation

with open({ran!r}, "a") as out:
    out.write("x")

class Notes(Plugin):
    @operation("add")
    async def add(self, request) -> dict:
        return {{}}
"""


@pytest.fixture
def local_plugin(installation: Installation, tmp_path: Path) -> Path:
    """Add a plugin from Python source without a catalogue; return the file that tells how often it was run."""
    root, ran = tmp_path / "notes", tmp_path / "ran"
    root.mkdir()
    (root / "manifest.yaml").write_text("kind: plugin\nsource: a.org/b/c/notes\nversion: 0.0.1\nspec: {}\n")
    (root / "pyproject.toml").write_text('[tool.gestalt]\nplugin = "notes_plugin:Notes"\n')
    (root / "notes_plugin.py").write_text(PLUGIN.format(ran=str(ran)))
    installation.config.write_text(f"{CONFIG}  notes: {{source: ../notes/manifest.yaml}}\n")
    return ran


def test_comparing_a_lock_runs_nothing_of_a_plugin(installation: Installation, local_plugin: Path) -> None:
    installation.lock()
    assert installation.locked()["plugin"]["notes"]["catalogOperations"] == ["add"]
    assert local_plugin.read_text() == "x"
    assert 'prepared artifact for provider "notes"' in refusal(installation.sync, "check")
    installation.lock("check")
    assert local_plugin.read_text() == "x"
    installation.sync()
    installation.sync("check")
    installation.require_installed()
    installation.lock("check")
    assert local_plugin.read_text() == "xx"


def test_validate_knows_packages_that_are_not_installed_by_their_lock(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "lockfile is missing or unreadable; run `gestaltd lock" in refusal(installation.validate)
    installation.lock()
    installation.validate()
    assert "integration configured: tasks (2 operations)" in capsys.readouterr().out
    installation.change_lock("plugin", "tasks", inputDigest="0" * 64)
    assert 'lock entry for plugin "tasks" is stale' in refusal(installation.validate)


def test_local_sources_alone_need_no_lock_to_be_validated(installation: Installation, tmp_path: Path) -> None:
    publish(tmp_path / "local", "indexeddb", "indexeddb/main")
    text = CONFIG.split("plugins:")[0].replace(
        "../releases/main/provider-release.yaml", "../local/package/manifest.json"
    )
    installation.config.write_text(text)
    installation.validate()
    assert not installation.lockfile.exists()


def test_sync_wants_to_be_told_that_it_goes_by_the_lock(installation: Installation) -> None:
    from gestalt_host.daemon.locking import commands as lock_commands

    with pytest.raises(CommandFailed, match="gestaltd sync currently requires --locked"):
        lock_commands.sync(installation.options(), installation.environ)


def test_a_web_server_is_never_asked_by_a_check(installation: Installation) -> None:
    with serving() as web:
        installation.serve(web)
        installation.config.write_text(CONFIG.replace("../releases/tasks", web.url("/tasks")))
        installation.ready()
        count = len(web.asked)
        installation.sync("check")
        installation.require_installed()
        assert len(web.asked) == count


def test_a_locked_start_reads_no_file_of_a_package_twice(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.ready()
    later = time.time_ns() + 2_000_000_000  # what was written a moment ago would be read again
    monkeypatch.setattr(time, "time_ns", lambda: later)
    options, readings = installation.options("locked"), Readings()
    config = load_config(options, [installation.config], installation.environ, static=False)
    require_installed(config, LockUse.of(config, options), readings)
    entries = [config.providers["indexeddb"]["main"], config.plugins["tasks"]]

    async def commands() -> list[LaunchCommand]:
        workplace, _ = await LockedInstallation(config, readings).ready(entries, set())
        prepared = [await prepare(entry, workplace, installation.environ) for entry in entries]
        return [item.command for item in prepared if item.command is not None]

    for command in asyncio.run(commands()):
        assert len(command.pinned) >= 2
        unread = {path.name for path, _ in command.pinned if path not in command.compared}
        assert unread == {RECORD}  # it says what is compared, and has been read anew for that


def test_no_password_or_query_of_a_source_is_shown_or_locked(installation: Installation) -> None:
    with serving() as web:
        installation.serve(web)
        web.put("/main/provider-release.yaml?key=hush", web_bytes(installation))
        url = web.url("/main/provider-release.yaml").replace("//", "//me:hush@")

        def configure(text: str) -> None:
            installation.config.write_text(CONFIG.replace("../releases/main/provider-release.yaml", f'"{text}"'))

        configure(url)
        installation.lock()
        assert "hush" not in installation.lockfile.read_text()
        configure(url.replace("/main/", "/other/"))
        refused = refusal(installation.sync, "check")
        assert "hush" not in refused
        assert f"the lock's source is '{web.url('/main/provider-release.yaml')}', not" in refused
        configure(f"{url}?key=hush")
        installation.lock()
        configure(f"{url}?key=hush2")
        refused = refusal(installation.sync, "check")
        assert "hush" not in refused
        assert "has another query, or a name and password" in refused


def web_bytes(installation: Installation) -> bytes:
    return (installation.folder / "releases/main/provider-release.yaml").read_bytes()


def test_sync_refuses_what_the_configuration_asks_of_a_package_that_cannot_do_it(installation: Installation) -> None:
    schema = json.dumps({"type": "object", "properties": {"size": {"type": "integer"}}})
    installation.republish("main", schema__json=schema)
    installation.ready()
    before = tree_of(installation.store)
    text = installation.config.read_text()
    main, tasks = "main/provider-release.yaml", "tasks/provider-release.yaml"
    changed = text.replace(main, f"{main}, config: {{size: big}}")
    changed = changed.replace(tasks, f"{tasks}, allowedOperations: {{nope: {{}}}}")
    installation.config.write_text(changed)
    for flags in ((), ("check",)):
        refused = refusal(installation.sync, *flags)
        assert 'provider config validation for indexeddb "main": config validation failed' in refused
        assert 'plugins.tasks.allowedOperations: "nope": no such operation; there are list, sub.add' in refused
    installation.config.write_text(text)
    installation.sync("check")
    assert tree_of(installation.store) == before
