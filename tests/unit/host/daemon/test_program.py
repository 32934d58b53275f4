"""`gestaltd` where the system lacks something: one line that says what, and no traceback."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from gestalt_host.config import ConfigurationUnreadable, find_config
from tests.support.rigs.gestaltd import alive
from tests.support.waiting import until

GESTALTD = f"{sys.executable} -m gestalt_host.daemon"


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("command", ["version", "validate --config gestalt.yaml"])
def test_output_that_cannot_be_written_is_one_line(command: str, tmp_path: Path) -> None:
    (tmp_path / "gestalt.yaml").write_text("{}")
    done = shell(f"{GESTALTD} {command} >/dev/full", tmp_path)
    assert done.returncode == 1
    assert done.stderr == "gestaltd: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize("streams", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_streams_that_are_closed_or_full_do_not_matter_where_they_are_not_needed(streams: str, tmp_path: Path) -> None:
    (tmp_path / "gestalt.yaml").write_text("{}")
    for command in ("version", "validate --config gestalt.yaml"):
        assert shell(f"{GESTALTD} {command} {streams}", tmp_path).returncode == 0, command
    done = shell(f"{GESTALTD} validate --config nowhere.yaml {streams}", tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) <= 1


def test_a_missing_package_is_named_with_what_installs_it(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['starlette'] = None; from gestalt_host.daemon.__main__ import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert list(tmp_path.iterdir()) == []  # found before anything is written
    (line,) = done.stderr.splitlines()
    assert line.startswith("gestaltd: gestaltd needs the Python package 'starlette', which is not installed: ")
    assert "`pip install gestaltd`" in line


def test_without_a_home_directory_it_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.delenv("HOME")
    with pytest.raises(
        ConfigurationUnreadable, match="set HOME, or name the configuration with --config or GESTALT_CON"
    ):
        find_config([], {}, tmp_path)
    assert find_config(["a.yaml"], {}, tmp_path) == [Path("a.yaml")]
    assert find_config([], {"GESTALT_CONFIG": "b.yaml"}, tmp_path) == [Path("b.yaml")]


def test_a_working_directory_that_was_removed_has_no_configuration(tmp_path: Path) -> None:
    done = shell(f"mkdir gone && cd gone && rmdir ../gone && HOME={tmp_path} {GESTALTD} validate", tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        f"gestaltd: loading config: reading config file: open {tmp_path}/.gestaltd/config.yaml: "
        "no such file or directory\n"
    )


def test_a_signal_ends_validate_with_what_it_has_started(tmp_path: Path) -> None:
    plugin = tmp_path / "stuck"
    plugin.mkdir()
    (plugin / "manifest.yaml").write_text("kind: plugin\nsource: a.org/b/c/stuck\nversion: 0.0.1\nspec: {}\n")
    (plugin / "pyproject.toml").write_text('[tool.gestalt]\nplugin = "stuck_plugin:Stuck"\n')
    (plugin / "stuck_plugin.py").write_text(
        "import os, pathlib, time\n"
        "path = pathlib.Path(__file__).parent / 'pid'\n"
        "path.with_suffix('.new').write_text(str(os.getpid()))\n"
        "path.with_suffix('.new').rename(path)\n"
        "time.sleep(600)\n"
    )
    (tmp_path / "gestalt.yaml").write_text("plugins: {stuck: {source: ./stuck/manifest.yaml}}\n")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        [*GESTALTD.split(), "validate", "--config", "gestalt.yaml"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(scratch)},
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: (plugin / "pid").exists(), within_s=60)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "gestaltd: stopped by SIGTERM\n")
    assert not alive(int((plugin / "pid").read_text()))
    assert not list(scratch.iterdir())
