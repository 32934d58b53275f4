"""`gestaltd validate`: what it finds, names and leaves alone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gestalt_host.daemon import commands
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.options import Options
from tests.support.rigs.gestaltd import alive

Validate = Callable[..., str]
CATALOGUE = """
name: notes
operations:
  - id: notes.add
    inputSchema:
      type: object
      properties: {text: {type: string}, copies: {type: integer}, tags: {type: array}}
      required: [text]
      additionalProperties: false
  - id: notes.list
    parameters: [{name: limit, type: integer, required: true}]
"""
BASE = """\
server: {encryptionKey: "a key for tests only"}
providers:
  indexeddb: {main: {source: {builtin: indexeddb_store}, config: {dsn: "sqlite:///tmp/never-opened.db"}}}
  workflow: {local: {source: {builtin: indexeddb}, indexeddb: {provider: main, db: workflow}}}
plugins:
  notes: {source: ./notes/manifest.yaml}
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """The folder of a plugin whose catalogue is in its package."""
    root = tmp_path / "notes"
    root.mkdir()
    (root / "manifest.yaml").write_text("kind: plugin\nsource: a.org/b/c/notes\nversion: 0.0.1\nspec: {}\n")
    (root / "pyproject.toml").write_text('[tool.gestalt]\nplugin = "notes_plugin:Notes"\n')
    (root / "catalog.yaml").write_text(CATALOGUE)
    return root


@pytest.fixture
def validate(tmp_path: Path, plugin: Path, capsys: pytest.CaptureFixture[str]) -> Validate:
    """Validates a text laid out as ``gestalt.yaml``; the error's text, or what was printed."""

    def run(text: str, *, runtime: bool = False, **environ: str) -> str:
        path = tmp_path / "gestalt.yaml"
        path.write_text(text)
        options = Options({"config": [str(path)]}, flags={"runtime"} if runtime else set())
        try:
            commands.validate(options, {"PATH": os.environ["PATH"], **environ})
        except CommandFailed as error:
            said = capsys.readouterr()
            shown = f"{said.err}{said.out}{error}"
        else:
            said = capsys.readouterr()
            shown = f"{said.err}{said.out}"
        return shown.replace(f"{tmp_path}/", "")

    return run


REST = "{rest: {baseUrl: 'http://x', operations: [{name: get_it, method: GET, path: /x}]}}"
OTHERS = ("agent", "cache", "authentication", "externalCredentials", "s3", "telemetry", "audit", "secrets", "ui")
"""Kinds that `serve` refuses, so that nothing starts or prepares them."""


@pytest.mark.parametrize("kind", OTHERS)
def test_the_package_of_a_kind_that_is_not_started_must_be_there_and_fit(validate: Validate, kind: str) -> None:
    more = ", path: /x" if kind == "ui" else ""
    providers = f"providers:\n  {kind}: {{other: {{source: %s{more}}}}}\n"
    assert "missing.yaml: no such file" in validate(BASE.replace("providers:\n", providers % "./missing.yaml"))
    if kind in ("telemetry", "audit"):  # they expect a plugin
        return
    shown = validate(BASE.replace("providers:\n", providers % "./notes/manifest.yaml"))
    assert f"notes/manifest.yaml: kind is plugin, but providers.{kind}.other needs" in shown


def test_a_store_that_nobody_uses_must_be_there(validate: Validate) -> None:
    shown = validate(
        BASE.replace("indexeddb: {main: {", "indexeddb: {other: {source: ./missing.yaml}, main: {default: true, ")
    )
    assert 'indexeddb "other": missing.yaml: no such file' in shown


def test_a_declarative_plugin_is_checked_without_being_run(validate: Validate, plugin: Path) -> None:
    (plugin / "manifest.yaml").write_text(
        f"kind: plugin\nsource: a.org/b/c/notes\nversion: 0.0.1\nspec: {{surfaces: {REST}}}\n"
    )
    (plugin / "catalog.yaml").unlink()
    shown = validate(BASE)
    assert "integration configured: notes (1 operations)" in shown
    assert "config ok" in shown
    allowed = "manifest.yaml, allowedOperations: {%s: {}}}"
    assert "config ok" in validate(BASE.replace("manifest.yaml}\n", allowed % "get_it" + "\n"))
    shown = validate(BASE.replace("manifest.yaml}\n", allowed % "nope" + "\n"))
    assert "plugins.notes.allowedOperations.nope: unknown operation; known: get_it" in shown
    assert "config ok" in validate(BASE, runtime=True)


@pytest.mark.parametrize(
    ("rest", "entry", "said"),
    [
        (
            REST,
            "egress: {allowedHosts: [ok.example.org, 'http://x']}",
            "plugins.notes.egress.allowedHosts[1]: 'http://x' cannot be used; accepted are a host name, *.SUFFIX",
        ),
        (
            REST.replace("baseUrl: 'http://x', ", ""),
            "egress: {}",
            "plugins.notes.surfaces.rest.baseUrl: is required: the manifest of the plugin has none",
        ),
        (
            REST,
            "allowedOperations: {get_it: {paginate: true}}",
            "plugins.notes.allowedOperations.get_it.paginate: needs to know how pages follow: pagination beside it",
        ),
        (
            REST,
            "invokes: [{plugin: notes, operation: get_it}]",
            "plugins.notes.invokes: the plugin has no process that could invoke anything",
        ),
        (
            REST,
            "limits: {memory: 64MiB}",
            "plugins.notes.limits.memory: the plugin has no process that could be limited",
        ),
    ],
)
def test_what_the_entry_of_a_declarative_plugin_says_must_fit_it(
    validate: Validate, plugin: Path, rest: str, entry: str, said: str
) -> None:
    (plugin / "manifest.yaml").write_text(
        f"kind: plugin\nsource: a.org/b/c/notes\nversion: 0.0.1\nspec: {{surfaces: {rest}}}\n"
    )
    (plugin / "catalog.yaml").unlink()
    shown = validate(BASE.replace("manifest.yaml}\n", f"manifest.yaml, {entry}}}\n"))
    assert said in shown
    assert "config ok" not in shown


def test_what_a_declarative_plugin_cannot_be_given_is_told(validate: Validate, plugin: Path) -> None:
    (plugin / "manifest.yaml").write_text(
        f"kind: plugin\nsource: a.org/b/c/notes\nversion: 0.0.1\nspec: {{surfaces: {REST}}}\n"
    )
    (plugin / "catalog.yaml").unlink()
    with capture_logs() as lines:
        validate(BASE.replace("manifest.yaml}\n", "manifest.yaml, env: {A: b}, config: {c: d}}\n"))
    told = [(line["path"], line["reason"]) for line in lines if line.get("event_name") == "config.unused"]
    reason = "the plugin has no process that it could be given to"
    assert told == [("plugins.notes.env", reason), ("plugins.notes.config", reason)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BASE.replace("manifest.yaml}", "manifest.yaml, egress: {allowedHosts: [x.org]}}"), "egress.allowedHosts"),
        (BASE.replace("server: {", "server: {egress: {defaultAction: deny}, "), "server.egress.defaultAction"),
        (
            BASE.replace("manifest.yaml}", "manifest.yaml, surfaces: {rest: {baseUrl: 'http://x'}}}"),
            "plugins.notes.surfaces.rest.baseUrl: the plugin has no REST surface",
        ),
    ],
)
def test_a_process_is_not_said_to_be_kept_to_a_list_of_hosts(
    validate: Validate, plugin: Path, text: str, said: str
) -> None:
    shown = validate(text)
    assert said in shown
    assert "config ok" not in shown


def schedule(target: str, more: str = "") -> str:
    """A configuration whose last lines, from 9 on, are one schedule."""
    text = "workflows:\n  schedules:\n    nightly:\n      cron: 0 3 * * *\n      target: {plugin: %s}\n"
    return BASE + text % target + more


@pytest.mark.parametrize(
    ("target", "more", "problem"),
    [
        (
            "{name: notes, operation: notes.ad, input: {text: a}}",
            "",
            'gestalt.yaml:11: workflows.schedules.nightly.target.plugin.operation: plugin "notes" has no operation '
            '"notes.ad"; did you mean "notes.add"? accepted are notes.add, notes.list',
        ),
        (
            "{name: notes, operation: notes.add, input: {text: a}}",
            "      permissions:\n        - plugin: notes\n          operations: [notes.list, fly]\n",
            "gestalt.yaml:14: workflows.schedules.nightly.permissions[0].operations[1]: "
            'plugin "notes" has no operation "fly"; accepted are notes.add, notes.list',
        ),
        (
            "{name: notes, operation: notes.add}",
            "",
            "gestalt.yaml:11: workflows.schedules.nightly.target.plugin.input.text: is missing; accepted is text",
        ),
        (
            "{name: notes, operation: notes.add, input: {text: a, copies: many}}",
            "",
            "gestalt.yaml:11: workflows.schedules.nightly.target.plugin.input.copies: is a text; "
            "accepted is an integer",
        ),
        (
            "{name: notes, operation: notes.add, input: {text: a, txt: b}}",
            "",
            "gestalt.yaml:11: workflows.schedules.nightly.target.plugin.input.txt: is not declared; "
            'accepted are "text", "copies", "tags"',
        ),
        (
            "{name: notes, operation: notes.list}",
            "",
            "gestalt.yaml:11: workflows.schedules.nightly.target.plugin.input.limit: is missing; "
            "accepted is an integer",
        ),
    ],
    ids=["operation", "permission", "missing input", "wrong input", "unknown input", "missing parameter"],
)
def test_what_a_schedule_names_must_fit_the_catalogue(validate: Validate, target: str, more: str, problem: str) -> None:
    said = validate(schedule(target, more))
    assert said.endswith(f"config validation: {problem}")
    assert "config ok" not in said


def test_what_a_trigger_and_a_plugin_name_must_fit_too(validate: Validate) -> None:
    text = BASE.replace("manifest.yaml}", "manifest.yaml, invokes: [{plugin: notes, operation: fly}]}")
    text += """\
workflows:
  eventTriggers:
    added:
      match: {type: note.added}
      target:
        plugin:
          name: notes
          operation: notes.add
          input:
            text: a
            copies: 1.5
"""
    said = validate(text)
    assert 'gestalt.yaml:6: plugins.notes.invokes[0].operation: plugin "notes" has no operation "fly"' in said
    assert (
        "gestalt.yaml:17: workflows.eventTriggers.added.target.plugin.input.copies: is 1.5; accepted is an integer"
        in said
    )
    assert "2 problems" in said


def test_operations_are_known_by_the_names_that_callers_use(validate: Validate) -> None:
    aliased = schedule("{name: notes, operation: add, input: {text: a}}").replace(
        "manifest.yaml}", "manifest.yaml, allowedOperations: {notes.add: {alias: add}}}"
    )
    assert "config ok: 1 schedules" in validate(aliased)
    assert 'has no operation "notes.add"; accepted are add' in validate(aliased.replace("n: add,", "n: notes.add,"))


def test_allowed_operations_that_do_not_exist_are_named_with_line_and_with_all_else(validate: Validate) -> None:
    text = BASE.replace("manifest.yaml}", "manifest.yaml, invokes: [{plugin: notes, operation: fly}]}")
    text += "  tags:\n    source: ./notes/manifest.yaml\n    allowedOperations:\n      notes.list: {}\n"
    said = validate(text + "      notes.drop: {}\n")
    assert said.startswith("config validation: 2 problems")
    assert "gestalt.yaml:6: plugins.notes.invokes[0].operation: " in said
    assert "gestalt.yaml:11: plugins.tags.allowedOperations.notes.drop: unknown operation; known: notes.a" in said


def test_unset_variables_are_warnings_with_file_and_line(validate: Validate) -> None:
    text = BASE.replace('"a key for tests only"', "${KEY}") + "    config:\n      a: |\n        x\n        ${A}\n"
    text = text.replace("notes: {source: ./notes/manifest.yaml}", "notes:\n    source: ./notes/manifest.yaml")
    said = validate(text)
    hint = 'environment variable "%s" not set; use ${%s:-} to allow an empty default'
    assert "warning: gestalt.yaml:1: server.encryptionKey: " + hint % ("KEY", "KEY") in said
    assert "warning: gestalt.yaml:11: plugins.notes.config.a: " + hint % ("A", "A") in said
    assert "config ok" in said
    assert "warning" not in validate(text, KEY="k", A="a")


def test_unset_variables_are_named_beside_what_they_lead_to(validate: Validate) -> None:
    said = validate(BASE.replace("server: {", "server: {public: {port: ${PORT}}, "))
    assert 'warning: gestalt.yaml:1: server.public.port: environment variable "PORT" not set' in said
    assert said.endswith("gestalt.yaml:1: server.public.port: must be an integer, not text")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ('""', "config validation: gestalt.yaml:1: server.encryptionKey: is blank; accepted is any text, or 64 hex"),
        ('"  "', "config validation: gestalt.yaml:1: server.encryptionKey: is blank; accepted is any text, or 64 hex"),
        (
            '"\\ud800"',
            "config validation: gestalt.yaml:1: server.encryptionKey: parsing config YAML: half of a surrogate",
        ),
        ("{a: b}", "config validation: gestalt.yaml:1: server.encryptionKey: must be text, not a mapping"),
        (
            "f" * 63,
            "warning: gestalt.yaml:1: server.encryptionKey: has 63 hexadecimal digits, so it is taken for a pass",
        ),
        (
            "f" * 65,
            "warning: gestalt.yaml:1: server.encryptionKey: has 65 hexadecimal digits, so it is taken for a pass",
        ),
    ],
)
def test_a_bad_encryption_key_is_found_and_not_shown(validate: Validate, key: str, said: str) -> None:
    found = validate(BASE.replace('"a key for tests only"', key))
    assert said in found
    assert ("config ok" in found) == said.startswith("warning")
    assert "fff" not in found


@pytest.mark.parametrize("key", ["f" * 64, "f" * 32, "a passphrase", "${KEY:-}"])
def test_good_encryption_keys_give_no_warning(validate: Validate, key: str) -> None:
    found = validate(BASE.replace('"a key for tests only"', key))
    assert "config ok" in found
    assert "warning" not in found


SOURCE = """
import os
from pathlib import Path
from gestalt_sdk.bases.provider import ConfigFault
from gestalt_sdk.plugin import Plugin, operation

if "NOTES" in os.environ:  # not while its catalogue is made
    Path(os.environ["NOTES"]).write_text(str(os.getpid()))

class Notes(Plugin):
    async def configure(self, name, config):
        Path(config["file"]).touch()

    @operation("notes.add")
    async def add(self, request, text: str) -> dict:
        return {}

class Judged(Notes):
    async def check(self, name, config):
        if "refuse" in config:
            raise ValueError("it is told to refuse")
        return [ConfigFault("colour.name", "is unknown", is_warning=True)] if "colour" in config else []
"""
RUNTIME = """\
server: {encryptionKey: "a key for tests only"}
providers:
  indexeddb:
    main:
      source: {builtin: indexeddb_store}
      config:
        dsn: sqlite://%(state)s/state.db
  workflow:
    local:
      source: {builtin: indexeddb}
      indexeddb: {provider: main, db: workflow}
      config:
        pollInterval: 1s
plugins:
  notes:
    source: ./notes/manifest.yaml
    env: {NOTES: "%(notes)s"}
    config:
      file: %(state)s/configured
"""


@pytest.fixture
def runtime(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, plugin: Path) -> dict[str, str]:
    """What ``RUNTIME`` is filled with: a directory of state, and a file outside that the plugin writes its pid to."""
    (plugin / "catalog.yaml").unlink()
    (plugin / "notes_plugin.py").write_text(SOURCE)
    (tmp_path / "state").mkdir()
    return {"state": str(tmp_path / "state"), "notes": str(tmp_path_factory.mktemp("notes") / "pid")}


def tree(*folders: Path) -> dict[str, tuple[float, int]]:
    """Every file and directory below, with what changes when it is written."""
    paths = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    return {str(path): (path.stat().st_mtime, path.stat().st_size) for path in paths}


def test_runtime_finds_what_serve_finds(validate: Validate, runtime: dict[str, str]) -> None:
    text = RUNTIME % {**runtime, "state": "/nowhere/at/all"}
    text = text.replace("1s", "1 second\n        pollIntervall: 1s").replace(
        "state.db", "state.db\n        colour: blue"
    )
    said = validate(text, runtime=True)
    assert "config validation: 2 problems" in said
    assert (
        "gestalt.yaml:7: providers.indexeddb.main.config.dsn: names /nowhere/at/all/state.db, which cannot be used: "
        "the directory /nowhere/at/all does not exist" in said
    )
    assert (
        "gestalt.yaml:14: providers.workflow.local.config.pollInterval: is '1 second'; expected a duration such as "
        "500ms, 1m30s or 10m" in said
    )
    assert "warning: gestalt.yaml:8: providers.indexeddb.main.config.colour: is unknown; known are dsn," in said
    assert "warning: gestalt.yaml:15: providers.workflow.local.config.pollIntervall: is unknown; known are poll" in said
    assert "config ok" not in said


def test_runtime_opens_and_writes_nothing_and_ends_what_it_launched(
    validate: Validate,
    runtime: dict[str, str],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    (tmp_path / "gestalt.yaml").write_text(RUNTIME % runtime)
    before = tree(tmp_path)
    said = validate(RUNTIME % runtime, runtime=True, TMPDIR=str(temporary))
    assert "config ok: 0 schedules, 0 event triggers" in said
    assert "checked by the provider itself: providers.indexeddb.main" in said
    assert "checked by the provider itself: providers.workflow.local" in said
    assert "not checked, the provider does not offer it: plugins.notes" in said
    after = tree(tmp_path)
    assert list(temporary.iterdir()) == []
    config = str(tmp_path / "gestalt.yaml")
    assert before.keys() == after.keys()
    assert {path: stamp for path, stamp in after.items() if path != config} == {
        path: stamp for path, stamp in before.items() if path != config
    }
    assert not alive(int(Path(runtime["notes"]).read_text()))


def test_a_plugin_may_judge_its_configuration(validate: Validate, runtime: dict[str, str], plugin: Path) -> None:
    (plugin / "pyproject.toml").write_text('[tool.gestalt]\nplugin = "notes_plugin:Judged"\n')
    text = RUNTIME % runtime
    assert "checked by the provider itself: plugins.notes" in validate(text, runtime=True)
    said = validate(text + "      colour: {name: red}\n", runtime=True)
    assert "warning: gestalt.yaml:20: plugins.notes.config.colour.name: is unknown" in said
    assert "config ok" in said
    said = validate(text + "      refuse: true\n", runtime=True)
    assert said.endswith("gestalt.yaml:19: plugins.notes.config: it is told to refuse")


def test_runtime_needs_what_serve_needs(validate: Validate, runtime: dict[str, str]) -> None:
    text = RUNTIME % runtime
    said = validate(text.replace('"a key for tests only"', "${KEY}"), runtime=True)
    assert 'validation: gestalt.yaml:1: server.encryptionKey: environment variable "KEY" not set' in said
    said = validate(text.replace('"a key for tests only"', "''"), runtime=True)
    assert "gestalt.yaml:1: server.encryptionKey: is required to serve" in said
    said = validate(text.replace("      indexeddb: {provider: main, db: workflow}\n", ""), runtime=True)
    assert "providers.workflow.local.config: GESTALT_INDEXEDDB_SOCKET is not set" in said
    assert said.endswith("; name a store under indexeddb")


def test_runtime_names_a_provider_that_cannot_be_launched(
    validate: Validate, runtime: dict[str, str], plugin: Path
) -> None:
    (plugin / "catalog.yaml").write_text(CATALOGUE)
    (plugin / "notes_plugin.py").write_text("raise RuntimeError('broken')")
    said = validate(RUNTIME % runtime, runtime=True)
    assert 'gestalt.yaml:15: plugins.notes: plugin "notes": plugin process exited before serving gRPC' in said


def test_what_serve_refuses_is_a_warning(validate: Validate) -> None:
    text = BASE.replace("manifest.yaml}", "manifest.yaml, mcp: true}")
    said = "gestalt.yaml:6: plugins.notes.mcp: the MCP endpoint is not supported by this version"
    shown = validate(text)
    assert shown.startswith(f"warning: {said}; serve refuses it\n")
    assert "\nconfig ok: " in shown
    assert f"{said}; remove it" in validate(text, runtime=True)


def test_a_key_that_is_none_is_a_fault_of_the_configuration(validate: Validate) -> None:
    said = validate(BASE + "providerKeys:\n  acme: rubbish\n")
    assert "gestalt.yaml:8: providerKeys.acme: " in said
    assert "accepted is" in said
