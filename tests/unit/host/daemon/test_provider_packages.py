"""`gestaltd provider add`, `remove`, `upgrade`, `search`, `info` and `repo`, on repositories that lie on disk."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.provider import writing
from gestalt_host.daemon.provider.program import REPO_SUBCOMMANDS, SUBCOMMANDS, run_provider_command
from tests.support.rigs.releases import Publisher

STORE = "example.com/acme/providers/indexeddb/foo"
NOTES = "example.com/acme/providers/plugins/notes"
PAGES = "example.com/acme/providers/ui/pages"
TEXT = """\
# Operated by the platform team.
server:
    encryptionKey: ${KEY}  # not set where this is edited

providers:
    indexeddb:
        main:   # the only one
            source: {path: %s}
"""

Run = Callable[..., str]
Refused = Callable[..., str]


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    publisher = Publisher(tmp_path / "www")
    for version in ("1.0.0", "1.2.0", "2.0.0-beta.1"):
        publisher.publish(STORE, version, "indexeddb", name="Foo Store")
    publisher.publish(NOTES, "1.0.0", "plugin", name="Notes")
    publisher.publish(PAGES, "1.0.0", "ui")
    return publisher


@pytest.fixture
def config(tmp_path: Path, publisher: Publisher) -> Path:
    path = tmp_path / "etc" / "gestalt.yaml"
    path.parent.mkdir()
    path.write_text(TEXT % (publisher.root / "foo/1.0.0/provider-release.yaml"))
    return path


@pytest.fixture
def environ(tmp_path: Path, publisher: Publisher) -> dict[str, str]:
    """A user who has the repository ``acme``, in place of the built-in one too, which is on the network."""
    (tmp_path / "home" / ".config" / "gestalt").mkdir(parents=True)
    empty = tmp_path / "empty.yaml"
    empty.write_text("schema: gestaltd-provider-index\nschemaVersion: 1\n")
    (tmp_path / "home/.config/gestalt/provider-repositories.yaml").write_text(
        yaml.safe_dump({"repositories": {"valon": {"url": empty.as_uri()}, "acme": {"url": publisher.url}}})
    )
    return {"HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"]}


@pytest.fixture
def run(config: Path, environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command on the configuration; what it printed on stdout."""

    def run_command(*words: str) -> str:
        capsys.readouterr()
        assert run_provider_command([*words, "--config", str(config)], environ) == ""
        return capsys.readouterr().out

    return run_command


@pytest.fixture
def refused(run: Run, config: Path) -> Refused:
    """Runs a command that must fail and change nothing beside the configuration; its error."""

    def run_refused(*words: str) -> str:
        before = tree(config.parent)
        with pytest.raises(CommandFailed) as failure:
            run(*words)
        assert tree(config.parent) == before
        return str(failure.value)

    return run_refused


def tree(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def locked(config: Path) -> dict[str, dict[str, str]]:
    """Return the locked versions by section and name."""
    providers = json.loads((config.parent / "gestalt.lock.json").read_text())["providers"]
    return {section: {name: one["version"] for name, one in entries.items()} for section, entries in providers.items()}


def test_a_package_is_added_and_locked_and_nothing_else_is_touched(
    run: Run, config: Path, publisher: Publisher
) -> None:
    before = config.read_text()
    assert run("add", NOTES, "--version", "^1").splitlines() == [
        "Added plugin notes",
        f"Package: {NOTES}",
        "Repository: acme",
        "Version: 1.0.0",
        f"Config: {config}",
        f"Lockfile: {config.parent / 'gestalt.lock.json'}",
    ]
    assert config.read_text() == before + (
        f"providerRepositories:\n    acme:\n        url: {publisher.url}\n"
        f"plugins:\n    notes:\n        source:\n            package: {NOTES}\n            repo: acme\n"
        "            version: ^1\n"
    )
    assert locked(config) == {"indexeddb": {"main": "1.0.0"}, "plugin": {"notes": "1.0.0"}}
    for path in (config, config.parent / "gestalt.lock.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(path.name for path in config.parent.iterdir()) == ["gestalt.lock.json", "gestalt.yaml"]
    assert "notes  " in run("list")


def test_the_lock_file_can_be_left_alone(run: Run, config: Path, publisher: Publisher) -> None:
    publisher.root.joinpath("notes/1.0.0/archive.tar.gz").unlink()
    assert run("add", NOTES, "--no-lock").splitlines()[-1] == f"Config: {config}"
    assert run("remove", "main", "--no-lock").splitlines() == ["Removed indexeddb main", f"Config: {config}"]
    assert sorted(path.name for path in config.parent.iterdir()) == ["gestalt.yaml"]


def test_removing_needs_no_network_and_keeps_other_locks(run: Run, config: Path, publisher: Publisher) -> None:
    run("add", NOTES)
    kept = json.loads((config.parent / "gestalt.lock.json").read_text())["providers"]["indexeddb"]
    publisher.index.unlink()
    assert run("remove", "notes").splitlines() == [
        "Removed plugin notes",
        f"Config: {config}",
        f"Lockfile: {config.parent / 'gestalt.lock.json'}",
    ]
    assert json.loads((config.parent / "gestalt.lock.json").read_text())["providers"] == {"indexeddb": kept}
    assert "plugins: {}\n" in config.read_text()


def test_a_dry_run_says_what_it_would_be(run: Run, config: Path, publisher: Publisher) -> None:
    before = tree(config.parent)
    assert run("add", STORE, "--dry-run").splitlines() == [
        f"Package: {STORE}",
        "Version: 1.2.0",
        "Kind: indexeddb",
        f"Metadata: {(publisher.root / 'foo/1.2.0/provider-release.yaml').as_uri()}",
    ]
    assert tree(config.parent) == before


def test_sync_prepares_before_anything_is_written(
    run: Run, refused: Refused, config: Path, publisher: Publisher
) -> None:
    archive = publisher.root / "notes/1.0.0/archive.tar.gz"
    run("add", NOTES, "--sync")
    assert (config.parent / ".gestaltd/providers/notes/run").is_file()
    assert (config.parent / "indexeddb/main/run").is_file()
    run("remove", "notes")
    # What cannot be prepared: the place is taken by somebody else's file.
    (config.parent / ".gestaltd/providers/notes").rename(config.parent / ".gestaltd/providers/old")
    (config.parent / ".gestaltd/providers/old").rename(config.parent.parent / "old")
    (config.parent / ".gestaltd/providers").rmdir()
    (config.parent / ".gestaltd/providers").write_text("in the way")
    assert archive.is_file()
    assert refused("add", NOTES, "--sync").startswith("nothing was changed: ")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (
            ["add", "example.com/acme/providers/none"],
            "package example.com/acme/providers/none was not found; asked valon",
        ),
        (["add", "Foo"], "'Foo' is not a package address"),
        (["add", STORE, "--version", "^3"], "version '^3' accepts none of 1.0.0, 1.2.0, 2.0.0-beta.1"),
        (["add", STORE, "--version", "x y"], "version constraint 'x y' cannot be read"),
        (["add", STORE, "--name", "main"], 'provider "main" of kind "indexeddb" already exists: /'),
        (["add", STORE], "providers.indexeddb: has multiple providers but no selection or default: foo, main"),
        (["add", NOTES, "--name", "../x"], "'../x' cannot be a name"),
        (["add", NOTES, "--kind", "workflow"], "is of kind plugin, not workflow"),
        (["add", NOTES, "--kind", "thing"], 'unknown kind "thing"; accepted are agent, audit, '),
        (["add", NOTES, "--repo", "far"], "repository 'far' is not known; there are acme, valon"),
        (["add", NOTES, "--set", "path=/x"], "--set is for the path of a UI alone"),
        (["add", NOTES, "--no-lock", "--sync"], "--no-lock and --sync exclude each other"),
        (["add", PAGES], "a UI needs --set path=/MOUNT"),
        (["add", PAGES, "--set", "theme=dark"], "--set 'theme=dark' is not accepted; accepted is path=/MOUNT"),
        (["remove", "none"], 'provider "none" not found'),
        (["upgrade", "--version", "^1"], "--version requires a provider name"),
        (["upgrade", "none"], 'provider "none" not found or is not a package source'),
        (["upgrade", "main", "--version", "^1"], 'provider "main" not found or is not a package source'),
        (["repo", "add", "acme", "example.com"], 'invalid provider repository URL "example.com": scheme is required'),
        (["repo", "add", "A b", "file:///x"], "'A b' is not a repository name"),
        (["repo", "add", "acme"], "usage: gestaltd provider repo add NAME URL"),
        (["info", "example.com/a/b/c"], 'provider package "example.com/a/b/c" not found'),
        (["repo", "frob"], 'unknown provider repo command "frob"'),
        (["frob"], 'unknown provider command "frob"'),
    ],
)
def test_what_is_refused_changes_nothing(refused: Refused, words: list[str], error: str) -> None:
    assert error in refused(*words)


def test_every_command_is_listed_and_has_a_help_text(environ: dict[str, str]) -> None:
    for group, table in ((["--help"], SUBCOMMANDS), (["repo", "--help"], REPO_SUBCOMMANDS)):
        listed = run_provider_command(group, environ)
        assert all(f"\n  {name} " in listed for name in table)
    for words in (*([name] for name in SUBCOMMANDS), *(["repo", name] for name in REPO_SUBCOMMANDS)):
        text = run_provider_command([*words, "--help"], environ)
        assert f"gestaltd provider {' '.join(words)}" in text
        assert max(map(len, text.splitlines())) <= 120
    assert run_provider_command([], environ) == run_provider_command(["--help"], environ)


def test_a_file_that_is_changed_is_the_only_one(config: Path, environ: dict[str, str]) -> None:
    for words in (["add", NOTES], ["remove", "main"], ["upgrade"], ["repo", "add", "a", "file:///x"]):
        with pytest.raises(CommandFailed, match="mutating provider commands accept only one --config; "):
            run_provider_command([*words, "--config", str(config), "--config", str(config)], environ)


def test_a_package_that_cannot_be_locked_is_not_added(refused: Refused, publisher: Publisher) -> None:
    (publisher.root / "notes/1.0.0/archive.tar.gz").write_bytes(b"rubbish")
    said = refused("add", NOTES)
    assert said.startswith('nothing was changed: provider "notes": ')
    assert "archive.tar.gz: the archive has digest" in said


def test_the_metadata_alone_is_written_where_that_is_asked_for(run: Run, config: Path, publisher: Publisher) -> None:
    run("add", NOTES, "--exact-source")
    written = yaml.safe_load(config.read_text().replace("${KEY}", "k"))
    assert written["plugins"] == {"notes": {"source": {"path": f"{publisher.root}/notes/1.0.0/provider-release.yaml"}}}
    assert "providerRepositories" not in written
    assert locked(config)["plugin"] == {"notes": "1.0.0"}


def test_a_ui_is_added_at_its_path(run: Run, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("add", PAGES, "--set", "path=/pages")
    assert yaml.safe_load(config.read_text())["providers"]["ui"]["pages"]["path"] == "/pages"
    assert locked(config)["ui"] == {"pages": "1.0.0"}


def test_an_upgrade_locks_what_is_newest_and_accepted(run: Run, config: Path, publisher: Publisher) -> None:
    run("add", NOTES, "--version", "^1")
    publisher.publish(NOTES, "1.4.0", "plugin")
    publisher.publish(NOTES, "2.0.0", "plugin")
    run("add", PAGES, "--set", "path=/pages")
    assert locked(config)["plugin"] == {"notes": "1.0.0"}
    before = config.read_text()
    assert run("upgrade") == "Refreshed provider lock state\n"
    assert locked(config)["plugin"] == {"notes": "1.4.0"}
    assert config.read_text() == before
    assert run("upgrade", "notes", "--version", ">=2").splitlines() == [
        "Updated plugin notes version constraint to >=2",
        f"Config: {config}",
        f"Lockfile: {config.parent / 'gestalt.lock.json'}",
    ]
    assert config.read_text() == before.replace("version: ^1\n", "version: '>=2'\n")
    assert locked(config)["plugin"] == {"notes": "2.0.0"}


def test_a_name_of_two_kinds_needs_its_kind(run: Run, refused: Refused, config: Path) -> None:
    run("add", NOTES, "--name", "main")
    assert refused("remove", "main") == 'provider "main" is of several kinds: indexeddb, plugin; name one with --kind'
    assert run("remove", "main", "--kind", "plugin").startswith("Removed plugin main\n")


def test_search_and_info(run: Run) -> None:
    assert run("search", "NOTES") == f"acme\t{NOTES}\tNotes\n"
    assert run("search").count("\n") == 3
    assert run("search", "nothing like it") == run("search", "--repo", "none") == ""
    assert run("info", STORE).splitlines() == [
        f"acme\t{STORE}\tFoo Store",
        "  1.0.0\tindexeddb\texecutable\tfoo/1.0.0/provider-release.yaml",
        "  1.2.0\tindexeddb\texecutable\tfoo/1.2.0/provider-release.yaml",
        "  2.0.0-beta.1\tindexeddb\texecutable\tfoo/2.0.0-beta.1/provider-release.yaml",
    ]


def test_a_search_ends_at_a_repository_that_cannot_be_read(refused: Refused, publisher: Publisher) -> None:
    publisher.index.unlink()
    told = refused("search")
    assert told.startswith("search provider repo acme: ")
    assert told.endswith("; --repo NAME searches one alone: valon")
    assert "--repo" not in refused("search", "--repo", "acme")


def test_repositories_of_a_configuration(run: Run, config: Path, publisher: Publisher) -> None:
    before = config.read_text()
    assert run("repo", "add", "mine", "https://a.example/i.yaml") == ""
    assert run("repo", "list").splitlines()[1:] == [f"acme\t{publisher.url}", "mine\thttps://a.example/i.yaml"]
    assert run("repo", "remove", "mine") == run("repo", "remove", "mine") == ""
    assert config.read_text() == before + "providerRepositories: {}\n"


def test_repositories_of_a_user(
    config: Path, environ: dict[str, str], publisher: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    environ["GESTALT_CONFIG"] = str(config)
    store = Path(environ["HOME"]) / ".config/gestalt/provider-repositories.yaml"
    store.write_text(
        f"repositories: {{acme: {{url: '{publisher.url}', token: t}}, valon: {{url: '{publisher.url}'}}}}\n"
    )
    for words in (["add", "acme", publisher.url], ["add", "b", publisher.url], ["remove", "none"]):
        run_provider_command(["repo", *words], environ)
    assert yaml.safe_load(store.read_text())["repositories"] == {
        "acme": {"url": publisher.url, "token": "t"},
        "b": {"url": publisher.url},
        "valon": {"url": publisher.url},
    }
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    run_provider_command(["repo", "add", "acme", "https://elsewhere.example/i.yaml"], environ)
    assert yaml.safe_load(store.read_text())["repositories"]["acme"] == {"url": "https://elsewhere.example/i.yaml"}
    run_provider_command(["repo", "remove", "acme"], environ)
    capsys.readouterr()
    run_provider_command(["repo", "update"], environ)
    assert capsys.readouterr().out.splitlines() == ["updated valon", "updated b"]
    copies = Path(environ["HOME"]) / ".cache/gestalt/provider-repositories"
    assert {path.name for path in copies.iterdir()} == {"valon.yaml", "b.yaml"}
    publisher.index.write_text("rubbish: 1\n")
    with pytest.raises(CommandFailed, match=r"^update provider repo valon: "):
        run_provider_command(["repo", "update"], environ)
    assert "packages" in (copies / "valon.yaml").read_text()


# Writing


def test_when_the_second_file_cannot_be_written_the_first_is_put_back(
    run: Run, refused: Refused, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("add", NOTES)
    replace, left = Path.replace, [1]

    def failing(self: Path, target: Path) -> Path:
        if target.parent == config.parent:
            left[0] -= 1
            if left[0] == -1:
                raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    assert refused("remove", "notes").endswith("gestalt.lock.json: no space left on device; nothing was changed")


def test_what_somebody_else_has_changed_meanwhile_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("theirs")
    with pytest.raises(CommandFailed, match="was changed meanwhile; nothing was written, run the command again"):
        writing.replace_together([writing.Replacement(path, b"before", b"ours")])
    assert path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]


KILLED = """
import os, signal, sys
from pathlib import Path
from gestalt_host.daemon.program import run
replace, before = Path.replace, int(sys.argv[1])

def dying(self, target):
    global before
    if str(target).startswith(sys.argv[2]):
        if before == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        before -= 1
    return replace(self, target)

Path.replace = dying
sys.exit(run(["provider", *sys.argv[3:]]))
"""


@pytest.mark.parametrize(("after", "has_config", "has_lock"), [(0, False, False), (1, False, True)])
def test_killed_between_its_writes_an_addition_leaves_files_that_a_locked_start_accepts(
    run: Run, config: Path, environ: dict[str, str], after: int, has_config: bool, has_lock: bool
) -> None:
    run("upgrade")
    words = [str(after), str(config.parent), "add", NOTES, "--config", str(config)]
    done = subprocess.run([sys.executable, "-c", KILLED, *words], env={**os.environ, **environ}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert ("notes" in config.read_text(), "plugin" in locked(config)) == (has_config, has_lock)
    assert "main  " in run("list")
    assert "drifted" not in run("list")
    # Run once more, the command ends what it began, and takes away what the killed one has left.
    run("add", NOTES)
    assert locked(config)["plugin"] == {"notes": "1.0.0"}
    assert sorted(path.name for path in config.parent.iterdir()) == ["gestalt.lock.json", "gestalt.yaml"]


def test_killed_between_its_writes_a_removal_leaves_files_that_a_locked_start_accepts(
    run: Run, config: Path, environ: dict[str, str]
) -> None:
    run("add", NOTES)
    words = ["1", str(config.parent), "remove", "notes", "--config", str(config)]
    done = subprocess.run([sys.executable, "-c", KILLED, *words], env={**os.environ, **environ}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert ("notes:" in config.read_text(), "plugin" in locked(config)) == (False, True)
    assert "unlocked" not in run("list")
