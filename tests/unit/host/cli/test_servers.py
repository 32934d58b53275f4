"""Where tokens and requests go: a checkout's file decides nothing that its reader has not decided already."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gestalt_host.cli import trusted_files
from gestalt_host.cli.settings import Credentials
from tests.support.rigs.cli import Gestalt, Server, serving

TOKEN = "gst_api_0123456789"
INFO = "/api/v1/auth/info"
RUNS = ("workflow", "runs", "list", "--format", "json")


@pytest.fixture
def other() -> Iterator[Server]:
    """A second server, as an attacker's."""
    with serving() as running:
        yield running


def project(folder: Path, url: str) -> Path:
    file = folder / ".gestalt" / "config.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"url": url}))
    return file


def store(gestalt: Gestalt, **members: Any) -> None:
    gestalt.config.mkdir(parents=True, exist_ok=True)
    (gestalt.config / "credentials.json").write_text(json.dumps({"api_token": TOKEN, "api_token_id": "i", **members}))


def lists(server: Server) -> None:
    server.on("GET", "/api/v1/workflow/runs", [])


@pytest.mark.parametrize("folder", [".", ".."])
@pytest.mark.parametrize("token", ["environment", "login", "none"])
def test_a_checkout_gets_neither_a_token_nor_a_request(
    bare: Gestalt, server: Server, other: Server, folder: str, token: str
) -> None:
    file = project((bare.work / folder).resolve(), other.url)
    if token == "environment":
        bare.env(GESTALT_API_KEY=TOKEN)
    if token == "login":
        store(bare, api_url=server.url)
    for command in (RUNS, ("invoke", "demo", "echo", "-p", "a=b"), ("auth", "login"), ("plugin", "connect", "demo")):
        if command == ("auth", "login") and token == "environment":
            continue  # refused for the key, before anything else
        result = bare(*command)
        assert (result.code, result.out) == (1, "")
        assert result.err == (
            f"error: {file} names the server {other.url}, which you have not named yourself; nothing was sent to it. "
            f"If you trust it: gestalt config set url {other.url}\n"
        )
    assert (other.requests, server.requests) == ([], [])


def test_a_checkout_may_name_a_server_that_the_user_knows(bare: Gestalt, server: Server) -> None:
    lists(server)
    file = project(bare.work, f"{server.url}/")
    assert bare(*RUNS).code == 1
    store(bare, api_url=server.url)
    assert bare(*RUNS).out == "[]\n"
    assert server.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"
    bare("auth", "logout")
    assert bare(*RUNS).code == 1
    bare("config", "set", "url", server.url)
    assert bare(*RUNS).out == "[]\n"
    assert bare().err.splitlines()[-1] == f"Config source: project config ({file})"


def test_the_key_of_the_environment_goes_to_a_projects_server_where_a_login_vouches_for_it(
    bare: Gestalt, server: Server
) -> None:
    lists(server)
    project(bare.work, server.url)
    store(bare, api_url=server.url)
    assert bare.env(GESTALT_API_KEY="key-of-environment")(*RUNS).code == 0
    assert server.requests[-1].headers["authorization"] == "Bearer key-of-environment"


def test_a_url_of_this_call_goes_before_the_checkouts(bare: Gestalt, server: Server, other: Server) -> None:
    lists(server)
    project(bare.work, other.url)
    bare.env(GESTALT_API_KEY=TOKEN)
    assert bare("--url", server.url, *RUNS).code == 0
    assert bare.env(GESTALT_URL=server.url)(*RUNS).code == 0
    assert (len(server.requests), other.requests) == (2, [])


def test_a_file_that_cannot_be_used_vouches_for_no_server(bare: Gestalt, server: Server) -> None:
    project(bare.work, server.url)
    store(bare, api_url=server.url)
    (bare.config / "credentials.json").write_text("{")
    (bare.config / "config.json").write_text("[]")
    assert "which you have not named yourself" in bare.env(GESTALT_API_KEY=TOKEN)(*RUNS).err
    assert server.requests == []


def test_a_stored_token_goes_only_to_the_server_that_it_was_made_for(
    bare: Gestalt, server: Server, other: Server
) -> None:
    lists(server)
    store(bare, api_url=other.url)
    assert bare("--url", server.url, *RUNS).code == 0  # asked without a token: the server has no login
    assert all("authorization" not in request.headers for request in server.requests)
    server.on("GET", INFO, {"loginSupported": True})
    result = bare("--url", server.url, *RUNS)
    assert (result.code, result.err) == (
        1,
        "error: not authenticated: set GESTALT_API_KEY or run 'gestalt auth login' "
        f"(the stored CLI token was made for {other.url} and is not sent to {server.url})\n",
    )
    status = bare("--url", server.url, "auth", "status")
    assert "Credentials: none\n" in status.err
    assert f"warning: For this server there is no token: the stored CLI token was made for {other.url}" in status.err
    answer = bare("--url", server.url, "auth", "status", "--format", "json").json
    assert (answer["authenticated"], answer["source"], answer["storedCredentials"]) == (False, "none", True)
    assert all("authorization" not in request.headers for request in (*server.requests, *other.requests))


def test_a_stored_token_without_a_server_goes_nowhere(bare: Gestalt, server: Server) -> None:
    server.on("GET", INFO, {"loginSupported": True})
    bare.env(GESTALT_URL=server.url)
    for url in ("", " "):
        store(bare, api_url=url)
        result = bare(*RUNS)
        assert "the stored CLI token does not say for which server it was made" in result.err
        assert bare("auth", "logout").err.splitlines()[0] == (
            "warning: Stored CLI token i has no associated URL; removing it locally only."
        )
    assert server.asked == [f"GET {INFO}"] * 2
    assert "authorization" not in server.requests[-1].headers


def test_status_list_and_help_show_a_checkouts_server_and_ask_it_nothing(bare: Gestalt, other: Server) -> None:
    file = project(bare.work, other.url)
    status = bare("auth", "status")
    assert (status.code, status.out) == (0, "")
    assert status.err.startswith(
        f"Server:      {other.url}\nURL source:  project config ({file}), not allowed\nCredentials: none\nwarning: "
    )
    assert f"gestalt config set url {other.url}" in status.err
    answer = bare("auth", "status", "--format", "json").json
    assert (answer["serverUrl"], answer["serverReachable"], answer["loginSupported"]) == (other.url, None, None)
    assert answer["urlSource"] == f"project config ({file}), not allowed"
    listed = bare("config", "list")
    assert listed.out == "No configuration set.\n"
    assert listed.err.startswith(f"warning: project config ({file}), not allowed: {file} names the server {other.url}")
    assert bare("config", "list", "--format", "json").json == {}
    assert bare().err.splitlines()[1] == f"Target server: {other.url} (not allowed)"
    assert other.requests == []


def test_init_does_not_offer_a_checkouts_server(bare: Gestalt, server: Server, other: Server) -> None:
    project(bare.work, other.url)
    assert "Value [http://localhost:8080]: " in bare("init").err
    bare("config", "set", "url", server.url)
    assert f"Value [{server.url}]: " in bare("init").err
    assert other.requests == []


def test_the_command_that_allows_a_server_is_safe_to_paste(bare: Gestalt) -> None:
    project(bare.work, "https://evil.example/$(touch x);rm\x1b[2J")
    said = bare(*RUNS).err
    assert "gestalt config set url 'https://evil.example/$(touch x);rm\\x1b[2J'" in said


@pytest.mark.parametrize("url", ["https://user:secret@evil.example", "https://evil.example/" + "a" * 100_000])
def test_what_is_not_shown_whole_is_not_offered_for_pasting(bare: Gestalt, url: str) -> None:
    project(bare.work, url)
    said = bare(*RUNS).err
    assert said.rstrip().endswith("If you trust it: gestalt config set url URL")
    assert "secret" not in said
    assert len(said) < 2000


# --- files that others can write --------------------------------------------------------------------------------------


@pytest.fixture
def umask() -> Iterator[None]:
    """What is made in the test can be written by its owner alone, whatever the umask of the one who runs it."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("what", ["file", "folder"])
@pytest.mark.parametrize("mode", [0o002, 0o020])
@pytest.mark.parametrize("name", ["project", "user", "credentials"])
def test_files_that_others_can_write_are_refused(
    bare: Gestalt, server: Server, name: str, mode: int, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trusted_files, "_is_own_group", lambda group_id: False)
    lists(server)
    bare("config", "set", "url", server.url)
    store(bare, api_url=server.url)
    file = project(bare.work, server.url)
    if name != "project":
        file.unlink()
        file = bare.config / ("config.json" if name == "user" else "credentials.json")
    if name == "credentials":
        bare.config.joinpath("config.json").unlink()
    assert bare(*RUNS).code == 0
    asked = len(server.requests)
    changed = file if what == "file" else file.parent
    changed.chmod(changed.stat().st_mode | mode)
    result = bare(*RUNS)
    assert (result.code, result.out) == (1, "")
    assert f" {file} is not used: others can write it: the {what} {changed} has mode " in result.err
    assert f"run: chmod go-w {changed}" in result.err
    changed.chmod(changed.stat().st_mode & ~0o022)
    assert len(server.requests) == asked
    assert bare(*RUNS).code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_another_user_is_refused(bare: Gestalt, server: Server) -> None:
    bare("config", "set", "url", server.url)
    file = project(bare.work, server.url)
    os.chown(file, 12345, 0)
    result = bare(*RUNS)
    assert result.code == 1
    assert f"project config {file} is not used: others can write it" in result.err
    assert "belongs to the user with id 12345" in result.err
    assert server.requests == []


def test_a_group_of_ones_own_is_nobody_else(bare: Gestalt, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    import grp
    import pwd

    lists(server)
    user = pwd.struct_passwd(("me", "x", os.geteuid(), 4711, "", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda number: user)
    file = project(bare.work, server.url)
    store(bare, api_url=server.url)
    file.chmod(0o664)
    seen = file.stat()
    if seen.st_gid == 0:
        assert bare(*RUNS).code == 0
    for members, name, own in (([], "me", True), (["me"], "me", True), (["you"], "me", False), ([], "staff", False)):
        monkeypatch.setattr(
            grp, "getgrgid", lambda number, members=members, name=name: grp.struct_group((name, "x", 4711, members))
        )
        assert trusted_files._is_own_group(4711) is own


def test_a_fifo_in_the_place_of_a_file_does_not_hold_the_command_up(bare: Gestalt) -> None:
    (bare.work / ".gestalt").mkdir()
    os.mkfifo(bare.work / ".gestalt" / "config.json")
    assert "exists but is not a file" in bare(*RUNS).err
    bare.config.mkdir(parents=True)
    os.mkfifo(bare.config / "config.json")
    assert "failed to read config file" in bare("config", "list").err


@pytest.mark.usefixtures("umask")
def test_a_link_is_as_safe_as_both_folders(bare: Gestalt, server: Server, tmp_path: Path) -> None:
    lists(server)
    store(bare, api_url=server.url)
    link, kept = bare.work / ".gestalt" / "config.json", tmp_path / "kept" / "config.json"
    kept.parent.mkdir()
    kept.write_text(json.dumps({"url": server.url}))
    link.parent.mkdir()
    link.symlink_to(kept)
    assert bare(*RUNS).code == 0
    for folder in (link.parent, kept.parent):
        folder.chmod(0o757)
        assert f"the folder {folder} has mode 0757" in bare(*RUNS).err
        folder.chmod(0o1777)  # sticky: only the owner replaces what is in it
        assert bare(*RUNS).code == 0
        folder.chmod(0o755)


def test_a_stored_url_that_is_none_is_named(bare: Gestalt, server: Server) -> None:
    store(bare, api_url="http://")
    result = bare("--url", server.url, *RUNS)
    assert result.code == 1
    assert "invalid server URL 'http://'" in result.err
    assert "(api_url of the stored credentials)" in result.err
    assert server.requests == []


def test_credentials_do_not_show_their_token() -> None:
    assert TOKEN not in repr(Credentials(TOKEN, "i", "u"))
