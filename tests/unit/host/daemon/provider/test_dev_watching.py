from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from gestalt_host.daemon.provider.authoring.dev_ignored import Rules, read_rules
from gestalt_host.daemon.provider.authoring.dev_watching import (
    LOOK_S,
    MOST_LOOK_S,
    MOST_UNSETTLED,
    Snapshot,
    Watcher,
    pause_after,
    snapshot_of,
)


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")


def watched(root: Path) -> list[str]:
    return sorted(Path(path).relative_to(root).as_posix() for path in snapshot_of([root]))


def test_builds_tools_and_version_control_are_not_watched(tmp_path: Path) -> None:
    folders = (".git", ".gestalt-dev", ".venv", "__pycache__", "build", "dist", "node_modules", "target")
    write(tmp_path, "manifest.yaml", "src/main.go", *(f"{name}/file" for name in folders), "src/node_modules/file")
    assert watched(tmp_path) == ["manifest.yaml", "src/main.go"]


def test_what_gitignore_says_is_not_watched_also_in_folders_and_from_above(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("*.log\n")
    root = tmp_path / "plugins" / "notes"
    write(root, "main.go", "out.log", "src/gen/a.go", "src/b.go", "src/b.tmp", "kept.log")
    (root / ".gitignore").write_text("!kept.log\n/src/gen/\n")
    (root / "src" / ".gitignore").write_text("*.tmp\n")
    assert watched(root) == [".gitignore", "kept.log", "main.go", "src/.gitignore", "src/b.go"]


def test_outside_a_repository_nothing_above_counts(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.go\n")
    write(tmp_path / "notes", "main.go")
    assert watched(tmp_path / "notes") == ["main.go"]


@pytest.mark.parametrize(
    ("line", "ignored", "kept"),
    [
        ("data", ["data", "a/data"], ["datas", "a.data"]),
        ("/data", ["data"], ["a/data"]),
        ("a/b", ["a/b"], ["c/a/b"]),
        ("*.py[co]", ["x.pyc", "a/x.pyo"], ["x.py", "x.pyd"]),
        ("[!a].c", ["b.c"], ["a.c"]),
        ("a?c", ["abc"], ["a/c", "ac"]),
        ("**/tmp", ["tmp", "a/b/tmp"], ["tmp2"]),
        ("a/**/b", ["a/b", "a/x/y/b"], ["ab"]),
        ("logs/**", ["logs/a", "logs/a/b"], ["logs"]),
        ("a*b", ["ab", "a.xb"], ["a/b"]),
        ("\\#x", ["#x"], ["x"]),
        ("\\!x", ["!x"], ["x"]),
        ("x   ", ["x"], ["x   "]),
        ("# comment", [], ["# comment", "comment"]),
        ("a.b", ["a.b"], ["axb"]),
    ],
)
def test_a_line_of_gitignore_means_what_git_says(line: str, ignored: Sequence[str], kept: Sequence[str]) -> None:
    rules = Rules((("/r", tuple(read_rules(line))),))
    assert [name for name in (*ignored, *kept) if rules.ignore(f"/r/{name}", is_folder=False)] == [*ignored]


def test_a_line_for_folders_leaves_files_of_the_name() -> None:
    rules = Rules((("/r", tuple(read_rules("out/"))),))
    assert rules.ignore("/r/out", is_folder=True)
    assert not rules.ignore("/r/out", is_folder=False)


def test_what_editors_leave_is_not_watched(tmp_path: Path) -> None:
    write(tmp_path, "a.py", ".a.py.swp", "a.py~", ".#a.py", "#a.py#", "4913", "a.pyc", ".idea/x", ".vscode/x", ".env")
    assert watched(tmp_path) == [".env", "a.py"]


def test_a_change_is_told_once_and_when_it_has_settled(tmp_path: Path) -> None:
    write(tmp_path, "a", "b", "c")
    watcher = Watcher(lambda: snapshot_of([tmp_path]))
    assert watcher.changed() == []
    (tmp_path / "a").write_text("new")
    (tmp_path / "c").unlink()
    assert watcher.changed() == []
    (tmp_path / "d").write_text("")
    assert watcher.changed() == []
    assert watcher.changed() == [tmp_path / "a", tmp_path / "c", tmp_path / "d"]
    assert watcher.changed() == []


def test_a_file_that_is_written_with_its_old_size_has_changed(tmp_path: Path) -> None:
    write(tmp_path, "a")
    watcher = Watcher(lambda: snapshot_of([tmp_path]))
    os.utime(tmp_path / "a", ns=(1, 1))
    watcher.changed()
    assert watcher.changed() == [tmp_path / "a"]


def test_what_changes_and_changes_back_before_it_was_told_is_no_change() -> None:
    states: list[Snapshot] = [{"a": (1, 1)}, {"a": (2, 1)}, {"a": (1, 1)}, {"a": (1, 1)}]
    watcher = Watcher(lambda: states.pop(0))
    assert [watcher.changed() for _ in range(3)] == [[], [], []]


def test_a_change_that_came_while_another_was_taken_up_is_told_afterwards(tmp_path: Path) -> None:
    write(tmp_path, "a", "b")
    watcher = Watcher(lambda: snapshot_of([tmp_path]))
    (tmp_path / "a").write_text("new")
    watcher.changed()
    assert watcher.changed() == [tmp_path / "a"]
    (tmp_path / "b").write_text("new")  # while the provider is built from the first change
    watcher.changed()
    assert watcher.changed() == [tmp_path / "b"]


def test_a_file_that_never_settles_keeps_nothing_waiting() -> None:
    numbers = iter(range(1000))
    watcher = Watcher(lambda: {"log": (next(numbers), 0)})
    told = [watcher.changed() for _ in range(MOST_UNSETTLED)]
    assert [bool(changed) for changed in told] == [*[False] * (MOST_UNSETTLED - 1), True]


def test_looks_at_many_files_are_rarer() -> None:
    assert [pause_after(took) for took in (0.002, 0.1, 5.0)] == [LOOK_S, pytest.approx(0.9), MOST_LOOK_S]
