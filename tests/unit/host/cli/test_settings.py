"""Where the URL and the token come from, and what the configuration files look like."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gestalt_host.cli.errors import CliError
from gestalt_host.cli.settings import config_directory
from gestalt_host.cli.urls import normalise_url
from tests.support.rigs.cli import Gestalt, Server


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:9999", "http://localhost:9999"),
        ("127.0.0.1", "http://127.0.0.1"),
        ("127.8.9.1:80", "http://127.8.9.1:80"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("gestalt.example.com/", "https://gestalt.example.com"),
        ("  http://a.example/base// ", "http://a.example/base"),
        ("https://localhost", "https://localhost"),
    ],
)
def test_a_url_gets_the_scheme_that_its_host_suggests(text: str, url: str) -> None:
    assert normalise_url(text) == url


@pytest.mark.parametrize("text", ["", "  ", "http://", "https:///path", "ftp://example.com", "http://a:port"])
def test_a_url_without_a_host_is_refused_where_it_is_read(text: str) -> None:
    with pytest.raises(CliError, match="invalid server URL"):
        normalise_url(text)


def test_the_configuration_directory_follows_xdg_then_home() -> None:
    assert config_directory({"XDG_CONFIG_HOME": "/x", "HOME": "/h"}) == Path("/x/gestalt")
    assert config_directory({"XDG_CONFIG_HOME": "", "HOME": "/h"}) == Path("/h/.config/gestalt")
    assert config_directory({}).parts[-2:] == (".config", "gestalt")


def source(gestalt: Gestalt, *args: str) -> str:
    """The lines that a bare call ends with."""
    return gestalt(*args).err.strip()


def test_flag_environment_project_and_user_file_win_in_this_order(bare: Gestalt) -> None:
    assert source(bare) == "Target server: not configured"
    bare("config", "set", "url", "user.example")
    assert source(bare).endswith(f"Config source: global config ({bare.config / 'config.json'})")
    project = bare.work.parent / ".gestalt" / "config.json"  # in a parent of the working directory
    project.parent.mkdir()
    project.write_text('{"url": "https://User.Example:443/"}')
    (bare.work / ".gestalt").mkdir()
    (bare.work / ".gestalt" / "config.json").write_text('{"other": "x"}')  # has no url: the search goes on upwards
    assert source(bare).splitlines()[-1] == f"Config source: project config ({project})"
    bare.env(GESTALT_URL=" env.example/ ")
    assert source(bare).splitlines()[0] == "Target server: https://env.example"
    assert source(bare, "--url", "localhost:9") == "Target server: http://localhost:9\nConfig source: --url flag"


@pytest.mark.parametrize("content", ["{", "[]", '{"url": 5}'])
def test_a_malformed_project_file_is_an_error_and_not_skipped(bare: Gestalt, content: str) -> None:
    bare("config", "set", "url", "user.example")
    (bare.work / ".gestalt").mkdir()
    (bare.work / ".gestalt" / "config.json").write_text(content)
    result = bare("workflow", "runs", "list")
    assert result.code == 1
    assert result.err.startswith(f"error: failed to parse project config {bare.work / '.gestalt' / 'config.json'}")
    assert source(bare) == "Target server: not configured"


def test_a_project_path_that_is_a_directory_is_an_error(bare: Gestalt) -> None:
    (bare.work / ".gestalt" / "config.json").mkdir(parents=True)
    assert "exists but is not a file" in bare("workflow", "runs", "list").err


def test_no_url_anywhere_says_how_to_set_one(bare: Gestalt) -> None:
    result = bare("workflow", "runs", "list")
    assert (result.code, result.out) == (1, "")
    assert result.err == (
        "error: no URL configured: use --url, GESTALT_URL, .gestalt/config.json, "
        f"or the user-local config file at {bare.config / 'config.json'}\n"
    )


def test_the_innermost_global_option_wins(bare: Gestalt) -> None:
    bare("config", "set", "url", "user.example")
    assert bare("--format", "table", "config", "--format", "table", "list", "--format=json").json == {
        "url": "https://user.example"
    }


def test_config_keeps_unknown_keys_and_sorts(bare: Gestalt) -> None:
    bare.config.mkdir(parents=True)
    (bare.config / "config.json").write_text('{"zebra": "z", "alpha": "a"}')
    assert bare("config", "set", "url", "localhost:9999").err == "url = http://localhost:9999\n"
    text = (bare.config / "config.json").read_text()
    assert text == '{\n  "alpha": "a",\n  "url": "http://localhost:9999",\n  "zebra": "z"\n}'
    assert bare("config", "get", "url").out == "http://localhost:9999\n"
    assert bare("--format", "json", "config", "get", "url").json == {"url": "http://localhost:9999"}
    assert [line.split()[1] for line in bare("config", "list").out.splitlines()[3:-1]] == ["alpha", "url", "zebra"]
    assert bare("config", "unset", "url").err == "url removed\n"
    unset = bare("config", "get", "url")
    assert (unset.code, unset.out, unset.err) == (0, "", "url is not set\n")
    assert bare("--format", "json", "config", "get", "url").json == {"url": None}


def test_config_of_nothing(bare: Gestalt) -> None:
    assert bare("config", "list").out == "No configuration set.\n"
    assert bare("--format", "json", "config", "list").out == "{}\n"
    assert bare("config", "unset", "url").err == "url removed\n"
    assert (bare.config / "config.json").read_text() == "{}"


def test_config_refuses_other_keys_bad_urls_and_broken_files(bare: Gestalt) -> None:
    assert bare("config", "get", "color").err == "error: unknown config key 'color'. Valid keys: url\n"
    assert "names no host" in bare("config", "set", "url", "http://").err
    for url in ("localhost:99999", "http://127.0.0.1:99999/x", "https://[::1]:65536"):
        assert "its port is over 65535" in bare("config", "set", "url", url).err
    bare.config.mkdir(parents=True)
    (bare.config / "config.json").write_text('{"url": 1}')
    for command in (["get", "url"], ["set", "url", "x.example"], ["unset", "url"], ["list"]):
        result = bare("config", *command)
        assert result.code == 1
        assert result.err.startswith("error: failed to parse config file: the value of 'url' is not a string")


def test_the_key_of_the_environment_hides_the_stored_credentials(bare: Gestalt, server: Server) -> None:
    bare.config.mkdir(parents=True)
    stored = bare.config / "credentials.json"
    stored.write_text(json.dumps({"api_url": server.url, "api_token": "stored", "api_token_id": "i"}))
    server.on("GET", "/api/v1/tokens", [])
    assert bare("tokens", "list").out == "No results.\n"
    assert server.requests[-1].headers["authorization"] == "Bearer stored"
    assert "no URL configured" in bare.env(GESTALT_API_KEY="k")("tokens", "list").err
    stored.write_text("{broken")
    assert bare.env(GESTALT_URL=server.url)("tokens", "list").code == 0  # not opened at all
    assert server.requests[-1].headers["authorization"] == "Bearer k"
    broken = bare.env(GESTALT_API_KEY=None)("tokens", "list")
    assert broken.err.startswith("error: failed to parse credentials file: ")


def test_files_may_begin_with_a_byte_order_mark(bare: Gestalt, server: Server) -> None:
    bare.config.mkdir(parents=True)
    document = json.dumps({"api_url": server.url, "api_token": "stored", "api_token_id": "i"})
    (bare.config / "credentials.json").write_text(document, encoding="utf-8-sig")
    (bare.config / "config.json").write_text('{"url": "https://user.example"}', encoding="utf-8-sig")
    assert bare("config", "get", "url").out == "https://user.example\n"
    (bare.work / ".gestalt").mkdir()
    (bare.work / ".gestalt" / "config.json").write_text(json.dumps({"url": server.url}), encoding="utf-8-sig")
    server.on("GET", "/api/v1/tokens", [])
    assert bare("tokens", "list").code == 0
    assert server.requests[-1].headers["authorization"] == "Bearer stored"


@pytest.mark.parametrize("lacking", ["HOME", "a user"])
def test_without_a_home_the_error_says_what_to_set(
    bare: Gestalt, lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pwd

    def none(number: int) -> pwd.struct_passwd:
        if lacking == "a user":
            raise KeyError(f"getpwuid(): uid not found: {number}")
        return pwd.struct_passwd(("me", "x", number, 1, "", "", "/bin/sh"))

    monkeypatch.setattr(pwd, "getpwuid", none)
    for command in (("config", "list"), ("auth", "status"), ("auth", "logout"), ("tokens", "list")):
        result = bare.env(HOME=None)(*command)
        assert (result.code, result.out) == (1, "")
        assert "could not determine home directory: the user with id " in result.err
        assert "set HOME, or XDG_CONFIG_HOME" in result.err
    assert bare().code == 0
    assert bare.env(XDG_CONFIG_HOME=str(bare.work))("config", "set", "url", "x.example").code == 0


def test_a_blank_stored_url_counts_as_none(bare: Gestalt) -> None:
    bare.config.mkdir(parents=True)
    (bare.config / "credentials.json").write_text('{"api_url": " ", "api_token": "t", "api_token_id": "i"}')
    assert "no URL configured" in bare("tokens", "list").err
