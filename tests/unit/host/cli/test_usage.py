"""Command lines that cannot be obeyed, and help."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from gestalt_host.cli.root import root
from tests.support.rigs.cli import Gestalt, Server


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("workflow schedule list", "unrecognized subcommand 'schedule'|a similar subcommand exists: 'schedules'"),
        ("confg", "error: unrecognized subcommand 'confg'|'config'"),
        ("--fromat json", "error: unexpected argument '--fromat' found|'--format'"),
        ("--form json", "error: unexpected argument '--form' found"),
        ("workflow runs list -x", "error: unexpected argument '-x' found"),
        ("config list extra", "error: unexpected argument 'extra' found"),
        ("--format yaml config list", "error: invalid value 'yaml' for '--format <FORMAT>'|json, table"),
        ("--format JSON config list", "error: invalid value 'JSON'"),
        ("workflow runs get", "required arguments were not provided:|<ID>"),
        ("workflow schedules create --cron=x", "--plugin <PLUGIN>|--operation <OPERATION>|Usage: gestalt workflow"),
        ("workflow schedules update x --paused=1", "unexpected value '1' for '--paused'"),
        ("workflow schedules update x --paused --no-paused", "'--paused' cannot be used with '--no-paused'"),
        ("workflow schedules update x --clear-input -p a=b", "'--clear-input' cannot be used with '--param <PARAMS>'"),
        ("workflow schedules update x --clear-input --input-file f", "'--clear-input' cannot be used with"),
        ("workflow schedules list --plugin a --plugin b", "'--plugin <PLUGIN>' cannot be used multiple times"),
        ("workflow runs list --format json --format json", "'--format <FORMAT>' cannot be used multiple times"),
        ("workflow runs cancel x --reason -y", "a value is required for '--reason <REASON>'|--reason=-y"),
        ("workflow runs cancel x --reason", "a value is required for '--reason <REASON>'"),
        ("workflow events publish --type a -p abc", "invalid value 'abc' for '--data <DATA>': invalid param"),
        ("workflow events publish --type a -e =v", "invalid value '=v' for '--extension <EXTENSIONS>'"),
        ("invoke demo echo -p n:=x", "error: invalid value 'n:=x' for '--param <PARAMS>': invalid JSON in 'n:=x'"),
        ("workflow events publish --type a --param x=1", "error: unexpected argument '--param' found"),
        ("help nope", "unrecognized subcommand 'nope'"),
        ("config -- list", "unexpected argument 'list' found"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_names_the_word_and_sends_nothing(
    gestalt: Gestalt, server: Server, line: str, said: str
) -> None:
    result = gestalt(*line.split())
    assert (result.code, result.out, server.asked) == (2, "", [])
    assert result.err.startswith("error: ")
    for part in said.split("|"):
        assert part in result.err
    assert "try '--help'" in result.err


def test_values_may_start_with_a_dash_after_an_equals_sign(gestalt: Gestalt, server: Server) -> None:
    gestalt("workflow", "runs", "cancel", "--reason=-x", "--", "-id")
    assert server.asked == ["POST /api/v1/workflow/runs/-id/cancel"]
    assert server.requests[0].body == {"reason": "-x"}


@pytest.mark.parametrize("line", ["workflow", "workflow runs", "plugin", "auth --format json"])
def test_a_group_without_command_prints_its_help_on_stderr(gestalt: Gestalt, line: str) -> None:
    result = gestalt(*line.split())
    assert (result.code, result.out) == (2, "")
    assert "Commands:" in result.err


def test_bare_gestalt_prints_help_and_target(bare: Gestalt) -> None:
    result = bare()
    assert result.code == 0
    assert "Commands:" in result.out
    assert result.err == "\nTarget server: not configured\n"
    result = bare("--url", "localhost:9999", "--format", "json")
    assert result.err == "\nTarget server: http://localhost:9999\nConfig source: --url flag\n"


def test_version(bare: Gestalt) -> None:
    result = bare("--version")
    assert result.code == 0
    assert result.out.startswith("gestalt ")


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from commands(child, (*path, name))


@pytest.mark.parametrize("path", list(commands(root)), ids=" ".join)
def test_every_level_has_help_with_the_global_options(bare: Gestalt, path: tuple[str, ...]) -> None:
    result = bare(*path, "--help")
    assert (result.code, result.err) == (0, "")
    flat = " ".join(result.out.split())
    assert f"Usage: {' '.join(('gestalt', *path))} [OPTIONS]" in flat
    assert "--format <FORMAT> Output format [default: table] [possible values: json, table]" in flat
    assert "--url <URL>" in flat
    assert bare(*path, "-h").out == result.out
    if path:
        assert bare(*path[:-1], "help", path[-1]).out == result.out


def test_aliases_work_and_are_not_listed(bare: Gestalt) -> None:
    assert bare("workflows", "--help").out == bare("workflow", "--help").out
    assert bare("integrations", "list", "--help").out == bare("plugin", "list", "--help").out
    assert "integrations" not in bare("--help").out
    assert "invoke" not in bare("--help").out.split("Commands:")[1].split("Options:")[0]


def test_help_imports_neither_http_nor_drawing_nor_grpc() -> None:
    program = (
        "import sys; from gestalt_host.cli.__main__ import run; run(['workflow', 'runs', '--help']);"
        "print(sorted(sys.modules.keys() & {'httpx', 'rich', 'grpc', 'google.protobuf', 'starlette', 'yaml'}))"
    )
    seen = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert seen.stdout.splitlines()[-1] == "[]"
