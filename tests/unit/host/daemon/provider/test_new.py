"""`gestaltd provider new`: which providers there are, what they are called, and that nothing is half done."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.provider.authoring import new, rendering
from gestalt_host.daemon.provider.authoring.rendering import rendered
from gestalt_host.daemon.provider.authoring.templates import TEMPLATES, Template
from gestalt_host.daemon.provider.program import run_provider_command
from gestalt_host.packages import read_manifest
from tests.support.commands import ROOT

EXAMPLES = ROOT / "examples" / "providers"
NAME = "blue-zebra"
CALLED = "blue[-_]?zebra|blue zebra"
each = pytest.mark.parametrize("template", TEMPLATES, ids=[item.folder for item in TEMPLATES])


def test_every_example_is_a_template() -> None:
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()} - {"contract"}
    assert {item.folder for item in TEMPLATES} == folders


@each
def test_what_is_renamed_is_there(template: Template) -> None:
    naming = rendering.Naming(template.kind, NAME)
    files = [f"{path}\n{text}" for path, text in rendering._files_of(template)]
    for number, (old, _) in enumerate(template.renames):
        earlier = Template(template.kind, template.language, template.renames[:number])
        assert any(old in rendering.renamed(earlier, naming, file) for file in files), old


@each
def test_nothing_is_left_of_the_place_and_the_name_of_the_example(template: Template, tmp_path: Path) -> None:
    files = rendered(template, NAME)
    for path, text in files.items():
        assert "gestalt-workflows" not in text, path
        assert "examples/providers" not in text, path
        for outwards in re.findall(r"(?:^|[^.\w/])((?:\.\./)+)", text):
            assert len(outwards) // 3 < len(Path(path).parts), path
    (tmp_path / "manifest.yaml").write_text(files["manifest.yaml"])
    manifest = read_manifest(tmp_path / "manifest.yaml")
    assert (manifest.kind, manifest.display_name) == (template.kind, "Blue Zebra")
    assert manifest.source.startswith("example.com/acme/")
    assert NAME in manifest.source.split("/")
    for name in package_names(files):
        assert re.search(CALLED, name), name


def package_names(files: dict[str, str]) -> list[str]:
    """Return what the files of each language call the package."""
    names = []
    for file in ("pyproject.toml", "Cargo.toml"):
        if file in files:
            document = tomllib.loads(files[file])
            names.append((document.get("project") or document["package"])["name"])
    if "package.json" in files:
        names.append(json.loads(files["package.json"])["name"])
    if "go.mod" in files:
        names.append(files["go.mod"].splitlines()[0])
    if "catalog.yaml" in files:
        names.append(files["catalog.yaml"].splitlines()[0])
    assert names
    return names


@each
def test_its_readme_lists_every_file_beside_it(template: Template) -> None:
    files = rendered(template, NAME)
    listed = re.findall(r"^\| `([^`]+)`", files["README.md"], re.MULTILINE)
    of_tools = {".gitignore", "README.md", "go.mod", "go.sum", "package-lock.json", "Cargo.lock"}
    for path in files.keys() - of_tools:
        assert any(path == name or path.startswith(name) for name in listed) or path.endswith("__init__.py"), path
    for name in listed:
        assert name == "wheels/" or any(path == name or path.startswith(name) for path in files), name


def run(*words: str | Path) -> str:
    return run_provider_command(["new", *map(str, words)], {})


def test_it_says_what_it_has_made_and_what_is_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "deep" / "my shop"
    run("plugin", "shop", "--language", "python", "--output", target)
    said = capsys.readouterr().out
    assert f"created plugin shop in {target}" in said
    assert [line.strip() for line in said.splitlines() if line.startswith("  ")] == [
        f"cd '{target}'",
        "make test",
        "gestaltd provider dev",
        "gestaltd provider verify .",
        "gestaltd provider release --version 0.1.0",
    ]
    assert (target / "shop_plugin" / "provider.py").is_file()
    assert [path.name for path in target.parent.iterdir()] == ["my shop"]
    assert len(list((target / "wheels").glob("gestaltd_sdk-*.whl"))) == 1


def test_a_store_is_told_with_the_configuration_that_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("indexeddb", "shelf", "--language", "python", "--output", tmp_path / "shelf")
    command = """gestaltd provider dev --config '{"dsn": "sqlite://{dir}/state.db"}'"""
    assert f"  {command}\n" in capsys.readouterr().out
    assert f"`{command}`" in (tmp_path / "shelf" / "README.md").read_text()


def test_the_name_is_that_of_the_folder_or_of_the_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("plugin", "--language", "go")
    assert "example.com/acme/plugins/my-plugin" in (tmp_path / "my-plugin" / "go.mod").read_text()
    (tmp_path / "lines").mkdir()
    monkeypatch.chdir(tmp_path / "lines")
    run("plugin", "--language", "go", "--output", ".")
    assert "example.com/acme/plugins/lines" in Path("go.mod").read_text()  # the folder is still the same one


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--language", "go"], "KIND is missing; accepted are plugin"),
        (["ui", "--language", "go"], 'KIND is "ui"; accepted are plugin'),
        (["plugin"], "--language is missing; offered for plugin are python, go, typescript, rust"),
        (["plugin", "--language", "perl"], '--language is "perl"; offered for plugin are python, go'),
        (["plugin", "Ideas", "--language", "go"], 'NAME is "Ideas"; accepted are lower-case letters'),
        (["plugin", "a--b", "--language", "go"], 'NAME is "a--b"; accepted are'),
        (["plugin", "../up", "--language", "go"], 'NAME is "../up"; accepted are'),
        (["plugin", "vendor", "--language", "go"], 'NAME is "vendor", which go cannot build; .* any but vendor'),
        (["plugin", "deps", "--language", "rust"], "any but build, deps, examples, incremental"),
        (["plugin", "--language", "rust", "--output", "build"], 'NAME is "build", which rust cannot build'),
        (["plugin", "a" * 41, "--language", "go"], "at most 40 characters"),
        (["plugin", "--language", "go", "--output", "X y"], 'the name of the folder, .*, is "X y"; accepted are'),
        (["plugin", "a", "b", "--language", "go"], "unexpected arguments: b"),
    ],
)
def test_words_that_are_not_accepted_say_what_is(
    words: list[str], error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandFailed, match=error):
        run(*words)
    assert not list(tmp_path.iterdir())


def test_what_is_there_already_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name, error in (("full", "is not empty"), ("file", "is no folder"), ("dangling", "is no folder")):
        with pytest.raises(CommandFailed, match=error):
            run("plugin", "shop", "--language", "python", "--output", tmp_path / name)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["dangling", "file", "full", "kept"]


@pytest.mark.parametrize("there", [True, False])
def test_a_write_that_fails_leaves_nothing(there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "shop"
    if there:
        target.mkdir()
    before = list(tmp_path.rglob("*"))
    original = new._write

    def disk_full(*given: object) -> None:
        original(*given)  # type: ignore[arg-type]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(new, "_write", disk_full)
    with pytest.raises(CommandFailed, match=r"cannot make .*shop: no space left on device"):
        run("plugin", "shop", "--language", "python", "--output", target)
    assert list(tmp_path.rglob("*")) == before
