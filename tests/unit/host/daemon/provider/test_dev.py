from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from gestalt_host.daemon.errors import CommandFailed, UsageWrong
from gestalt_host.daemon.options import Options
from gestalt_host.daemon.provider.authoring import dev
from gestalt_host.daemon.provider.authoring.dev_config import Developed
from gestalt_host.daemon.provider.authoring.dev_folder import kept_key, own_folder, say_who
from gestalt_host.daemon.provider.authoring.dev_lines import calls_of, shown
from gestalt_host.packages.catalogue import CatalogueOperation, CatalogueParameter, PluginCatalogue
from gestalt_host.packages.manifests.reading import read_manifest

URL = "http://127.0.0.1:1"


def developed(
    root: Path, kind: str, config: dict[str, object] | None = None, others: tuple[Path, ...] = ()
) -> Developed:
    (root / "manifest.yaml").write_text(f"kind: {kind}\nsource: example.com/me/kit/ideas\nversion: 0.1.0\nspec: {{}}\n")
    folder = root / ".gestalt-dev"
    folder.mkdir(exist_ok=True)
    return Developed.of(read_manifest(root / "manifest.yaml"), folder, 8123, config or {}, others)


@pytest.mark.parametrize(
    ("kind", "stores", "workflows", "plugins"),
    [
        ("plugin", ["state"], ["local"], ["ideas"]),
        ("workflow", ["state"], ["ideas"], ["roadmap"]),
        ("indexeddb", ["ideas"], ["local"], ["roadmap"]),
    ],
)
def test_a_provider_of_each_kind_has_a_whole_host(
    tmp_path: Path, kind: str, stores: list[str], workflows: list[str], plugins: list[str]
) -> None:
    config = developed(tmp_path, kind).load({})
    assert [*config.providers["indexeddb"]] == stores
    assert [*config.providers["workflow"]] == workflows
    assert [*config.plugins] == plugins
    assert config.server.public.host == "127.0.0.1"
    assert config.server.public.port == 8123
    assert config.indexeddb == stores[0]
    bound = [*config.providers["workflow"].values(), *config.plugins.values()]
    assert {entry.indexeddb.provider for entry in bound if entry.indexeddb} == {stores[0]}
    assert config.artifacts_dir == tmp_path / ".gestalt-dev"


def test_its_configuration_reaches_the_provider_and_no_file(tmp_path: Path) -> None:
    given: dict[str, object] = {"token": "hush", "dsn": "sqlite://{dir}/x.db", "price": "$5", "list": ["{dir}"]}
    found = developed(tmp_path, "plugin", given)
    folder = str(tmp_path / ".gestalt-dev")
    entry = found.entry(found.load({}))
    assert entry.config == {"token": "hush", "dsn": f"sqlite://{folder}/x.db", "price": "$5", "list": [folder]}
    assert entry.env == {"PYTHONDONTWRITEBYTECODE": "1"}
    assert "hush" not in found.file.read_text()


def test_the_file_is_its_owners_and_signs_the_same_at_every_start(tmp_path: Path) -> None:
    root = tmp_path / "a $b"
    root.mkdir()
    found = developed(root, "plugin")
    first = found.load({}).server.encryption_key
    assert found.load({}).server.encryption_key == first == kept_key(found.folder)
    assert stat.S_IMODE(found.file.stat().st_mode) == 0o600
    assert found.entry(found.load({})).source.path == root / "manifest.yaml"


def test_another_file_brings_plugins_and_goes_below(tmp_path: Path) -> None:
    other = tmp_path / "gestalt.yaml"
    other.write_text(
        "apiVersion: gestaltd.config/v5\nserver: {public: {port: 1}}\n"
        "plugins: {slack: {source: {builtin: slack}, config: {file: x}}, ideas: {config: {a: 1, b: 2}}}\n"
    )
    found = developed(tmp_path, "plugin", {"b": 3}, (other,))
    config = found.load({})
    assert sorted(config.plugins) == ["ideas", "slack"]
    assert config.server.public.port == 8123
    assert config.plugins["ideas"].config == {"a": 1, "b": 3}
    other.write_text("apiVersion: gestaltd.config/v5\nserver: {public: {port: x}}\nplugins: {slack: {sauce: 1}}\n")
    with pytest.raises(CommandFailed, match="sauce"):
        found.load({})


def test_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="kind agent cannot be run so; accepted are plugin, workflow, indexeddb"):
        developed(tmp_path, "agent")


def test_a_folder_is_of_one_process_and_says_whose(tmp_path: Path) -> None:
    with own_folder(tmp_path) as folder:
        say_who(folder, URL)
        assert (folder / ".gitignore").read_text() == "*\n"
        with pytest.raises(CommandFailed, match=rf"is run already: gestaltd provider dev, process \d+, at {URL}$"):
            own_folder(tmp_path).__enter__()
    with own_folder(tmp_path):
        pass


def test_a_folder_that_was_there_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / ".gestalt-dev").mkdir(mode=0o755)
    with own_folder(tmp_path) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("port", ["0", "65536", "x", "-1", "٣"])
def test_a_port_that_is_none_is_refused(tmp_path: Path, port: str) -> None:
    developed(tmp_path, "plugin")
    with pytest.raises(CommandFailed, match=f'--port "{port}" is not accepted; accepted is 1 to 65535'):
        dev.run(Options({"port": [port]}, arguments=[str(tmp_path)]), {})


def test_a_path_without_a_provider_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="no such file or directory"):
        dev.run(Options(arguments=[str(tmp_path / "none")]), {})


def test_a_path_is_given_once(tmp_path: Path) -> None:
    with pytest.raises(UsageWrong, match="unexpected arguments: extra"):
        dev.run(Options({"path": [str(tmp_path)]}, arguments=["extra"]), {})


def test_the_configuration_of_a_host_is_not_the_providers(tmp_path: Path) -> None:
    developed(tmp_path, "plugin")
    given = '{"apiVersion": "gestaltd.config/v5"}'
    with pytest.raises(CommandFailed, match="is the configuration of a host, and no provider's; --with takes it"):
        dev.run(Options({"config": [given], "path": [str(tmp_path)]}), {})


def test_a_name_that_was_given_is_the_entrys(tmp_path: Path) -> None:
    developed(tmp_path, "plugin")
    manifest = read_manifest(tmp_path / "manifest.yaml")
    found = Developed.of(manifest, tmp_path / ".gestalt-dev", 8123, {}, name="other")
    assert [*found.load({}).plugins] == ["other"]


def test_a_line_of_the_log_is_one_line_for_people(tmp_path: Path) -> None:
    (tmp_path / "notes.py").write_text("")
    trace = f'Traceback:\n  File "{tmp_path}/notes.py", line 7, in put\n    1 / 0\nZeroDivisionError: division by zero'
    fields = {
        "event": "operation failed\x1b[2J",
        "event_name": "operation.failed",
        "level": "error",
        "timestamp": "2026-11-30T07:00:00Z",
        "process": "notes",
        "stream": "stderr",
        "operation": "notes.put",
        "reason": "a b",
        "exception": trace,
    }
    line = shown(fields, tmp_path)
    assert line[8:] == (
        f" error   notes: operation failed\\x1b[2J: ZeroDivisionError: division by zero ({tmp_path}/notes.py:7) "
        'operation=notes.put reason="a b"'
    )


def test_each_operation_has_a_command_with_what_it_requires() -> None:
    parameters = (
        CatalogueParameter("id", required=True),
        CatalogueParameter("count", type="integer", required=True),
        CatalogueParameter("note"),
    )
    operations = (
        CatalogueOperation("notes.put", parameters=parameters),
        CatalogueOperation("notes.list"),
        CatalogueOperation("secret", visible=False),
    )
    catalogue = PluginCatalogue("notes", operations={item.id: item for item in operations})
    calls = list(calls_of("plugin", "notes", catalogue, URL, "roadmap"))
    assert [call for call in calls if call.startswith("gestalt ")] == [
        f"gestalt --url {URL} invoke notes notes.put -p id=… -p count:=1",
        f"gestalt --url {URL} invoke notes notes.list",
    ]
    assert any(call.startswith("gestaltd provider call plugin/notes IntegrationProvider/Execute") for call in calls)
    assert json.loads(calls[2].split("'")[1]) == {"operation": "notes.put"}
    assert list(calls_of("plugin", "notes", catalogue, URL, "roadmap", has_process=False)) == calls[:2]
