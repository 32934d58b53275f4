from __future__ import annotations

import os
import sys
import tracemalloc
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gestalt_host.packages import (
    LaunchCommand,
    PackageInvalid,
    Workplace,
    generated_catalogues,
    prepare,
    read_catalogue,
)
from tests.support.rigs.gestaltd import alive
from tests.support.rigs.package import PLUGIN, PROJECT, Write, entry_of
from tests.support.waiting import eventually

CATALOGUE = """
name: echo
displayName: Echo
operations:
  - id: chat.say
    method: POST
    title: Say
    inputSchema: {type: object, properties: {text: {type: string}}}
    annotations: {readOnlyHint: true}
    parameters:
      - {name: text, type: string, required: true}
      - {name: count, type: integer, default: 1, internal: true}
    tags: [a]
    visible: false
  - id: ping
"""


def test_a_catalogue_is_read(package: Write) -> None:
    catalogue = read_catalogue(package(CATALOGUE, name="catalog.yaml"))
    say, ping = catalogue.operations.values()
    assert (say.id, say.method, say.title, say.transport, say.visible) == ("chat.say", "POST", "Say", "plugin", False)
    assert say.input_schema == {"type": "object", "properties": {"text": {"type": "string"}}}
    assert say.annotations == {"readOnlyHint": True}
    assert [(p.name, p.type, p.required, p.internal, p.default) for p in say.parameters] == [
        ("text", "string", True, False, None),
        ("count", "integer", False, True, 1),
    ]
    assert (ping.visible, ping.input_schema, ping.annotations) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("operations: [{id: 'a b'}]", "operations[0].id: 'a b' is not an operation id"),
        ("operations: [{id: a}, {id: a}]", "operations[1].id: 'a' is a duplicate"),
        ("operations: [{title: x}]", "operations[0].id: is required"),
        ("operations: [{id: a, nope: 1}]", "operations[0].nope: unknown key"),
        ("operations: [{id: a, parameters: [{type: string}]}]", "parameters[0].name: is required"),
        (
            "operations: [{id: a, allowed_roles: [x], allowedRoles: [y]}]",
            "operations[0].allowed_roles: is another spelling of allowedRoles, which is given too",
        ),
        ("operations: [{id: a, read_only: often}]", "operations[0].read_only: must be true or false"),
    ],
)
def test_faults_are_named(package: Write, text: str, expected: str) -> None:
    with pytest.raises(PackageInvalid) as failure:
        read_catalogue(package(text, name="catalog.yaml"))
    assert expected in str(failure.value)


@pytest.mark.parametrize(("roles", "read_only"), [("allowedRoles", "readOnly"), ("allowed_roles", "read_only")])
def test_roles_and_read_only_are_read_in_either_spelling(package: Write, roles: str, read_only: str) -> None:
    path = package(f"operations: [{{id: a, {roles}: [admin], {read_only}: true}}]", name="catalog.yaml")
    operation = read_catalogue(path).operations["a"]
    assert (operation.allowed_roles, operation.read_only) == (("admin",), True)


async def test_a_plugin_from_source_writes_its_catalogue_once(package: Write, tmp_path: Path) -> None:
    manifest = package(pyproject__toml=PROJECT, echo_plugin__py=PLUGIN)
    artifacts = tmp_path / "artifacts"

    prepared = await prepare(entry_of(manifest), Workplace(artifacts, artifacts), os.environ)

    assert prepared.catalogue is not None
    assert set(prepared.catalogue.operations) == {"say", "items.list"}
    assert prepared.catalogue.operations["say"].title == "Say"
    (kept,) = (artifacts / ".gestaltd" / "catalogues").iterdir()
    assert kept.name.startswith("echo@")
    assert {path.name for path in manifest.parent.iterdir()} - {"__pycache__"} == {
        "manifest.yaml",
        "pyproject.toml",
        "echo_plugin.py",
    }

    # Kept: the plugin is not run again, so that what is in the file is what is read.
    kept.write_text(kept.read_text().replace("title: Say", "title: Kept"))
    prepared = await prepare(entry_of(manifest), Workplace(artifacts, artifacts), os.environ)
    assert prepared.catalogue is not None
    assert prepared.catalogue.operations["say"].title == "Kept"

    # Another state of the sources is another catalogue, and the old one goes.
    (manifest.parent / "echo_plugin.py").write_text(PLUGIN.replace('title="Say"', 'title="Speak"'))
    prepared = await prepare(entry_of(manifest), Workplace(artifacts, artifacts), os.environ)
    assert prepared.catalogue is not None
    assert prepared.catalogue.operations["say"].title == "Speak"
    assert len(list((artifacts / ".gestaltd" / "catalogues").iterdir())) == 1


async def test_a_kept_catalogue_that_is_damaged_is_made_again(package: Write, tmp_path: Path) -> None:
    manifest = package(pyproject__toml=PROJECT, echo_plugin__py=PLUGIN)
    await prepare(entry_of(manifest), Workplace(tmp_path, tmp_path), os.environ)
    (kept,) = (tmp_path / ".gestaltd" / "catalogues").iterdir()
    kept.write_text("operations: [{")
    prepared = await prepare(entry_of(manifest), Workplace(tmp_path, tmp_path), os.environ)
    assert prepared.catalogue is not None
    assert "say" in prepared.catalogue.operations


async def test_a_catalogue_that_cannot_be_kept_is_no_failure(package: Write, tmp_path: Path) -> None:
    manifest = package(pyproject__toml=PROJECT, echo_plugin__py=PLUGIN)
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    prepared = await prepare(entry_of(manifest), Workplace(blocked, blocked), os.environ)
    assert prepared.catalogue is not None


async def test_a_catalogue_in_the_package_is_taken_as_it_is(package: Write, tmp_path: Path) -> None:
    manifest = package(pyproject__toml=PROJECT, echo_plugin__py="raise SystemExit(1)", catalog__yaml=CATALOGUE)
    prepared = await prepare(entry_of(manifest), Workplace(tmp_path, tmp_path), os.environ)
    assert prepared.catalogue is not None
    assert set(prepared.catalogue.operations) == {"chat.say", "ping"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("raise RuntimeError('no luck')", "no luck"),
        ("import not_installed_anywhere", "not_installed_anywhere"),
        ("EchoPlugin = 1", "cannot serve echo_plugin:EchoPlugin"),
        ("def EchoPlugin():\n    return {}['x']", "KeyError: 'x' ("),
        ("def EchoPlugin():\n    return {}['x']", "echo_plugin.py:2)"),
        ("import json\ndef EchoPlugin():\n    json.loads('')", "echo_plugin.py:3)"),
    ],
)
async def test_a_plugin_that_cannot_write_one_says_why(
    package: Write, tmp_path: Path, source: str, expected: str
) -> None:
    manifest = package(pyproject__toml=PROJECT, echo_plugin__py=source)
    with pytest.raises(PackageInvalid) as failure:
        await prepare(entry_of(manifest), Workplace(tmp_path, tmp_path), os.environ)
    text = str(failure.value)
    assert text.startswith('prepare plugin "echo": ')
    assert "cannot write its catalogue (exit status 1)" in text
    assert expected in text


async def test_a_plugin_that_hangs_while_it_is_imported_is_named_before_it_has_failed(
    package: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generated_catalogues, "SLOW_S", 0.1)
    monkeypatch.setattr(generated_catalogues, "RUN_TIMEOUT_S", 5)
    child = tmp_path / "child"
    source = (
        "import subprocess, time\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(child)!r}, 'w').write(str(child.pid))\n"
    )
    manifest = package(pyproject__toml=PROJECT, echo_plugin__py=source + "time.sleep(60)")
    with capture_logs() as lines, pytest.raises(PackageInvalid, match="writing its catalogue took more than 5 s"):
        await prepare(entry_of(manifest), Workplace(tmp_path, tmp_path), os.environ)
    (told,) = [line for line in lines if line["event_name"] == "plugin.catalogue_slow"]
    assert (told["log_level"], told["plugin"]) == ("warning", "echo")

    async def ended() -> bool | None:
        return True if not alive(int(child.read_text())) else None

    await eventually(ended)


async def test_a_program_that_writes_nothing_is_named(package: Write, tmp_path: Path) -> None:
    from gestalt_host.packages.generated_catalogues import catalogue_of
    from gestalt_host.packages.manifests.reading import read_manifest

    manifest = read_manifest(package())
    command = LaunchCommand((sys.executable, "-c", "pass"))
    with pytest.raises(PackageInvalid, match=r"wrote none when it was run with GESTALT_PLUGIN_WRITE_CATALOG"):
        await catalogue_of(manifest, command, "echo", tmp_path, os.environ)


async def test_what_a_failing_plugin_writes_costs_little_and_moves_no_terminal(package: Write, tmp_path: Path) -> None:
    source = "import sys\nfor _ in range(300): sys.stderr.write('x' * 100_000 + '\\n')\nsys.exit('\\x1b[31mno luck')"
    manifest = package(pyproject__toml=PROJECT, echo_plugin__py=source)
    tracemalloc.start()
    try:
        with pytest.raises(PackageInvalid) as failure:
            await prepare(entry_of(manifest), Workplace(tmp_path, tmp_path), os.environ)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(failure.value).endswith("\\x1b[31mno luck")
    assert peak_bytes < 8_000_000
