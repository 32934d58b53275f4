"""The first pages of docs/providers, followed as they stand from an empty folder: a newcomer's path, in each language.

By day the page in Python is followed, with what is installed for the tests and with a part of `verify`; at night those
in other languages too, with `gestaltd` installed as the guide says.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bare import wheelhouse
from tests.support.commands import ROOT
from tests.support.nightly import NIGHTLY
from tests.support.pages import Block, blocks, edited
from tests.support.rigs.gestaltd import free_port
from tests.support.rigs.replay import Reader, program, reading
from tests.support.rigs.toolchains import cached_environ, require

DOCS = ROOT / "docs" / "providers"
LANGUAGES = sorted(path.stem.removeprefix("first-") for path in DOCS.glob("first-*.md"))
PORTS = ("8080", "8081", "8000")
"""Those of the pages."""
BY_DAY = "contract.md 2.4"
"""The section whose rules `verify` tries by day."""
INSTALLING = "How to get `gestaltd`"
PATH_ROW = re.compile(r"^\| ((?:`[^`]+`(?:, )?)+) \|", re.MULTILINE)
pytestmark = pytest.mark.timeout(1800)


def page(language: str) -> str:
    return (DOCS / f"first-{language}.md").read_text()


def files_named(text: str) -> set[str]:
    """Return the files and folders that the page's table says are there."""
    return {name for row in PATH_ROW.findall(text) for name in re.findall(r"`([^`]+)`", row)}


def made_files(folder: Path) -> set[str]:
    """Return every file of the folder; one below a folder that ends the path with a slash stands for all in it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def covers(named: set[str], made: set[str]) -> bool:
    """Whether each file is named or lies in a folder that is, and nothing else is named."""
    folders = tuple(name for name in named if name.endswith("/"))
    missing = {name for name in made if name not in named and not name.startswith(folders or ("\0",))}
    absent = {name for name in named if name not in made and not any(other.startswith(name) for other in made)}
    assert not missing, f"the page does not say what is in {sorted(missing)}"
    assert not absent, f"the page names {sorted(absent)}, which is not there"
    return True


def here(folder: Path) -> dict[str, str]:
    """Return the environment of somebody who has the programs of this checkout, verifies a part, and has no network."""
    programs = folder / "programs"
    programs.mkdir()
    run = f"exec env PYTHONPATH={shlex.quote(str(ROOT))} {shlex.quote(sys.executable)} -m gestalt_host"
    program(programs, "gestalt", f'{run}.cli "$@"')
    part = f'[ "$1 $2" = "provider verify" ] && set -- "$@" --rule {shlex.quote(BY_DAY)}'
    program(programs, "gestaltd", f'{part}\n{run}.daemon "$@"')
    # Pip reads the last as "without": what builds a project is installed for the tests.
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheelhouse()), "PIP_NO_BUILD_ISOLATION": "0"}
    return {"PATH": f"{programs}:{os.environ['PATH']}", **offline}


def installed(folder: Path) -> dict[str, str]:
    """Return the environment of somebody who has installed `gestaltd` as the guide says."""
    guide = blocks((DOCS / "README.md").read_text())
    (installing,) = [block for block in guide if block.section == INSTALLING and block.language == "console"]
    home = folder / "home"
    home.mkdir()
    reader = Reader(ROOT, {"PATH": os.environ["PATH"], "HOME": str(home)})
    reader.read([installing])
    return {"PATH": reader.environment["PATH"]}


def environment_of_the_tests(folder: Path) -> None:
    """Give a provider in Python the environment of these tests in place of one that is installed for it."""
    made = folder / ".venv"
    made.mkdir()
    for name in ("bin", "lib"):
        (made / name).symlink_to(Path(sys.prefix) / name)
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", made)
    (made / "ready").touch()


def reader(folder: Path, after: Callable[[str, Path], None]) -> Reader:
    """Return somebody who sits before an empty folder."""
    start = folder / "empty"
    start.mkdir()
    own = (installed if NIGHTLY else here)(folder)
    cached = {name: value for name, value in cached_environ().items() if name.startswith(("CARGO", "RUSTUP", "GO"))}
    environment = {
        **{name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR", "XDG_CACHE_HOME") if name in os.environ},
        **cached,
        **own,
    }
    return Reader(start, environment, {port: str(free_port()) for port in PORTS}, after)


def follow(language: str, folder: Path) -> None:
    """Do what the page says, to its end."""
    text = page(language)

    def after(command: str, cwd: Path) -> None:
        if command.startswith("gestaltd provider new "):
            covers(files_named(text), made_files(cwd / "ideas"))
            if language == "python" and not NIGHTLY:
                environment_of_the_tests(cwd / "ideas")
        if command.startswith("gestaltd sync "):
            someone.stop()
            shutil.rmtree(someone.folder / "ideas")  # nothing of it is needed where the release is served

    with reading(reader(folder, after)) as someone:
        someone.read(list(blocks(text)))


def test_the_page_in_python_is_followed(tmp_path: Path) -> None:
    follow("python", tmp_path)


@pytest.mark.skipif(not NIGHTLY, reason="at night: GESTALT_NIGHTLY=1")
@pytest.mark.parametrize("language", [name for name in LANGUAGES if name != "python"])
def test_the_page_in_another_language_is_followed(language: str, tmp_path: Path) -> None:
    require(language)
    follow(language, tmp_path)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_page_goes_the_whole_way(language: str) -> None:
    typed = [line[2:] for block in blocks(page(language)) for line in block.text.splitlines() if line[:2] == "$ "]
    wanted = ["provider new plugin ideas --language", "provider dev", "provider verify", "provider release"]
    if language in ("python", "go"):
        wanted += ["provider keygen", "lock", "sync --locked", "serve --locked"]
    found = [command for command in wanted if any(line.startswith(f"gestaltd {command}") for line in typed)]
    assert found == wanted
    assert any(block.language == "diff" for block in blocks(page(language)))
    assert any(line.startswith("gestalt invoke ideas ") for line in typed)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_edits_of_each_page_fit_the_example(language: str) -> None:
    folder = ROOT / "examples" / "providers" / f"plugin-{language}"
    texts: dict[Path, str] = {}
    for block in blocks(page(language)):
        if block.language == "diff":
            # `provider new` gives the modules of a plugin its name.
            path = folder / block.file.replace("ideas", "notes")
            texts[path] = edited(texts.get(path) or path.read_text(), block.text)
    assert texts


def test_what_is_there_and_not_named_is_told() -> None:
    assert covers({"a", "b/"}, {"a", "b/c", "b/d/e"})
    for named, made in (({"a"}, {"a", "b"}), ({"a", "b/"}, {"a"})):
        with pytest.raises(AssertionError, match="b"):
            covers(named, made)


def test_an_edit_that_does_not_fit_is_told() -> None:
    assert edited("one\ntwo\nthree\n", " one\n-two\n+2\n") == "one\n2\nthree\n"
    for text in ("one\nthree\n", "one\ntwo\none\ntwo\n"):
        with pytest.raises(ValueError, match="the edit fits"):
            edited(text, " one\n-two\n+2\n")


def test_a_reader_meets_what_a_page_does_not_show(tmp_path: Path) -> None:
    def does(text: str) -> None:
        Reader(tmp_path, {"PATH": os.environ["PATH"]}).read([Block("console", "", text, "", 1)])

    does("$ export A=1\n$ echo $A\n1\n$ mkdir b\n$ cd b\n$ pwd\n…/b\n")
    for wrong in ("$ echo 2\n1\n", "$ echo 2\n", "$ cd c\n$ pwd\n…\n"):
        with pytest.raises((AssertionError, FileNotFoundError)):
            does(wrong)
