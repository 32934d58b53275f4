from __future__ import annotations

import pytest

from gestalt_host.daemon.__main__ import main
from gestalt_host.daemon.errors import UsageWrong
from gestalt_host.daemon.options import parse_options

ACCEPTED = ("config", "artifacts-dir")


@pytest.fixture(autouse=True)
def logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program's logging is the whole process's; a test's process keeps its own."""
    monkeypatch.setattr("gestalt_host.daemon.program._begin", lambda: None)


def parsed(*arguments: str) -> dict[str, list[str]]:
    return parse_options(arguments, ACCEPTED, "help").values


def test_one_dash_two_dashes_and_equals_are_the_same() -> None:
    for form in (["--config", "a"], ["-config", "a"], ["--config=a"], ["-config=a"]):
        assert parsed(*form) == {"config": ["a"]}


def test_config_is_repeatable_and_the_last_of_the_others_wins() -> None:
    options = parse_options(["--config", "a", "--artifacts-dir", "x", "--config=b", "-artifacts-dir=y"], ACCEPTED, "")
    assert options.all("config") == ["a", "b"]
    assert options.last("artifacts-dir") == "y"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--bogus"], "flag provided but not defined: -bogus"),
        (["-bogus=1"], "flag provided but not defined: -bogus"),
        (["--config"], "flag needs an argument: -config"),
        (["--config", "a", "extra", "more"], "unexpected arguments: extra more"),
        (["extra", "--config", "a"], "unexpected arguments: extra --config a"),
    ],
)
def test_what_is_not_accepted_is_named(arguments: list[str], text: str) -> None:
    with pytest.raises(UsageWrong) as failure:
        parsed(*arguments)
    assert str(failure.value) == text


@pytest.mark.parametrize("arguments", [["-h"], ["--help"], ["help"], ["serve", "--help"], ["validate", "-h"]])
def test_help_goes_to_stderr_with_exit_status_0(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Usage:" in printed.err


def test_root_help_names_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    text = capsys.readouterr().err
    for word in ("gestaltd serve", "gestaltd validate", "gestaltd version", "[--config PATH]...", "--artifacts-dir"):
        assert word in text


@pytest.mark.parametrize("arguments", [["version"], ["--version"], ["-v"], ["version", "extra"]])
def test_version_is_just_that(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert capsys.readouterr().out.strip().count(".") >= 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["foo"], "unexpected arguments: foo"),
        (["--bogus"], "flag provided but not defined: -bogus"),
        (["serve", "extra"], "unexpected arguments: extra"),
        (["validate", "--config", "nonexistent.yaml"], "open nonexistent.yaml: no such file or directory"),
        (["serve", "--config", "nonexistent.yaml"], "open nonexistent.yaml: no such file or directory"),
    ],
)
def test_errors_are_one_message_on_stderr_with_exit_status_1(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert text in printed.err
    assert "Traceback" not in printed.err
