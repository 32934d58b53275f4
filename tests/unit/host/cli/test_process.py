"""The program as a process: streams that are closed, full or left, packages that are missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.rigs.cli import Server

RUNS = "/api/v1/workflow/runs"
LIST = ("workflow", "runs", "list", "--format", "json")


def started(server: Server, redirections: str, *args: str, **env: str) -> tuple[int, str, str]:
    """Run ``gestalt`` by a shell that redirects its streams; exit code and what came on the two that were not."""
    process = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" "$@" {redirections}', sys.executable, "-m", "gestalt_host.cli", *args],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "GESTALT_URL": server.url,
            "GESTALT_API_KEY": "k",
            "HOME": "/nonexistent",
            **env,
        },
    )
    return process.returncode, process.stdout.decode(), process.stderr.decode()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_as_good_as_dev_null(server: Server, closed: str) -> None:
    server.on("GET", RUNS, [{"id": "r"}])
    code, out, err = started(server, closed, *LIST)
    assert code == 0
    assert err == ""
    assert out == ("" if ">&-" in closed.replace("2>&-", "") else '[\n  {\n    "id": "r"\n  }\n]\n')
    assert server.asked == [f"GET {RUNS}"]  # nothing of the output went into the connection, or the other way round


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-"])
def test_an_error_is_told_with_other_streams_closed(server: Server, closed: str) -> None:
    server.on("GET", RUNS, {"error": "no"}, status=403)
    assert started(server, closed, *LIST)[::2] == (1, "error: failed to list workflow runs: no\n")
    assert started(server, "2>&-", *LIST)[0] == 1
    server.on("POST", "/api/v1/workflow/events", {})
    code, _, err = started(server, closed, "workflow", "events", "publish", "--type", "a", "--data-file", "-")
    assert (code, err) == (1, "error: failed to parse input file as JSON: "
                           "Input is a zero-length, empty document: line 1 column 1 (char 0)\n")  # fmt: skip


FULL = "error: failed to write to standard output: No space left on device\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    "args",
    [
        LIST,
        ("workflow", "runs", "list"),
        ("--help",),
        ("help", "workflow"),
        ("workflow", "--help"),
        ("--version",),
        (),
        ("config", "list"),
        ("tokens", "create"),
        ("auth", "status", "--format", "json"),
    ],
)
def test_output_that_cannot_be_written_is_one_line(server: Server, args: tuple[str, ...]) -> None:
    server.on("GET", RUNS, [{"id": f"r{number}", "text": "x" * 1000} for number in range(100)])
    server.on("POST", "/api/v1/tokens", {"token": "t"})
    code, _, err = started(server, ">/dev/full", *args)
    assert code == 1
    assert err.splitlines(keepends=True)[-1] == FULL
    assert err.count("\n") == (2 if args[:1] == ("tokens",) else 1)  # behind what was said before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("redirections", ["2>/dev/full", ">/dev/full 2>/dev/full", ">/dev/full 2>&-"])
def test_errors_that_cannot_be_written_leave_the_exit_code(server: Server, redirections: str) -> None:
    assert started(server, redirections, "nope")[0] == 2
    server.on("GET", RUNS, {"error": "no"}, status=403)
    assert started(server, redirections, *LIST) == (1, "", "")
    assert started(server, "2>/dev/full", "workflow", "schedules", "delete", "s")[0] == 0


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_goes_away_is_no_fault(server: Server, stream: str) -> None:
    server.on("GET", RUNS, [{"id": f"r{number}", "text": "x" * 1000} for number in range(1000)])
    reader, writer = os.pipe()
    os.close(reader)
    other = "stderr" if stream == "stdout" else "stdout"
    try:
        process = subprocess.run(
            [sys.executable, "-m", "gestalt_host.cli", *(LIST if stream == "stdout" else ("nope",))],
            **{stream: writer, other: subprocess.PIPE},  # type: ignore[call-overload]
            env={"PATH": os.environ["PATH"], "GESTALT_URL": server.url, "GESTALT_API_KEY": "k", "HOME": "/nonexistent"},
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert process.returncode == (1 if stream == "stdout" else 2)
    assert getattr(process, other) == b""


@pytest.mark.parametrize("package", ["click", "httpx", "rich"])
def test_a_package_that_is_missing_is_named_in_one_line(server: Server, tmp_path: Path, package: str) -> None:
    server.on("GET", RUNS, [{"id": "日本"}])  # wide characters are measured by rich
    # As after an installation with --no-deps: whoever imports the package does not find it.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {package!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
    )
    code, out, err = started(server, "", "workflow", "runs", "list", PYTHONPATH=str(tmp_path))
    assert (code, out) == (1, "")
    assert err == (
        f"error: gestalt needs the Python package '{package}', which is not installed: "
        "`pip install gestaltd` installs it, in a source tree `make setup-run`\n"
    )
