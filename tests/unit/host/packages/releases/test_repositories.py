"""Package repositories of the user and of the configuration (packaging.md 9)."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gestalt_host.config.model import Repository
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.releases.repositories import (
    BUILTIN,
    UserRepositories,
    all_repositories,
    check_repository_url,
)

MINE = Repository("mine", "https://mine.example.com/index.yaml", "hush")


def test_the_user_s_are_written_and_read_and_nobody_else_can(tmp_path: Path) -> None:
    store = UserRepositories.of_user({"HOME": str(tmp_path)})
    assert store.read() == {}
    plain = Repository("plain", "file:///srv/index.yaml")
    store.write({"plain": plain, "mine": MINE})
    path = tmp_path / ".config" / "gestalt" / "provider-repositories.yaml"
    assert store.path == path
    assert store.read() == {"mine": MINE, "plain": plain}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_they_are_where_the_environment_says(tmp_path: Path) -> None:
    store = UserRepositories.of_user({"HOME": "/h", "XDG_CONFIG_HOME": str(tmp_path)})
    assert store.path == tmp_path / "gestalt" / "provider-repositories.yaml"


def test_a_file_that_is_a_link_stays_one(tmp_path: Path) -> None:
    path, target = tmp_path / "provider-repositories.yaml", tmp_path / "elsewhere"
    target.write_text("repositories: {}\n")
    path.symlink_to(target)
    UserRepositories(path).write({"mine": MINE})
    assert path.is_symlink()
    assert UserRepositories(target).read() == {"mine": MINE}


def test_an_empty_file_has_none(tmp_path: Path) -> None:
    path = tmp_path / "provider-repositories.yaml"
    path.write_text("\n")
    assert UserRepositories(path).read() == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("repositories: [x]", "repositories: must be a mapping"),
        ("repositories: {mine: {}}", "repositories.mine.url: is required"),
        ("repositories: {Mine: {url: 'https://h/x'}}", "'Mine' is not a repository name"),
        ("repositories: {mine: {url: 'ftp://h/x'}}", "accepted schemes are http, https, file"),
        ("repositories: {mine: {url: 'https://h/x', tokn: a}}", "tokn: unknown key; did you mean 'token'?"),
        ("repos: {}", "repos: unknown key"),
    ],
)
def test_a_broken_file_is_named_with_its_faults(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "provider-repositories.yaml"
    path.write_text(text)
    with pytest.raises(PackageInvalid) as failed:
        UserRepositories(path).read()
    assert f"{path}:1: " in str(failed.value)
    assert says in str(failed.value)


def test_without_a_home_there_are_none_and_none_can_be_kept() -> None:
    store = UserRepositories(None)
    assert store.read() == {}
    with pytest.raises(PackageInvalid, match="set XDG_CONFIG_HOME"):
        store.write({})


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = UserRepositories(tmp_path / "provider-repositories.yaml")
    store.write({"mine": MINE})

    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fail)
        with pytest.raises(PackageInvalid, match="no space left on device"):
            store.write({})
    assert store.read() == {"mine": MINE}
    assert len(list(tmp_path.iterdir())) == 1


def test_the_configuration_s_go_before_the_user_s_and_those_before_the_one_that_is_built_in() -> None:
    own = Repository("mine", "https://other.example.com/index.yaml")
    builtin = Repository(BUILTIN.name, "file:///mirror.yaml")
    found = all_repositories({"mine": own}, {"mine": MINE, BUILTIN.name: builtin})
    assert found == {BUILTIN.name: builtin, "mine": own}
    assert list(all_repositories({}, {"mine": MINE})) == [BUILTIN.name, "mine"]


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("https://mine.example.com/other.yaml", "hush"),
        ("https://MINE.example.com:443/index.yaml", "hush"),
        ("https://mine.example.com:8443/index.yaml", ""),
        ("http://mine.example.com/index.yaml", ""),
        ("https://eve.example.com/index.yaml", ""),
        ("file:///index.yaml", ""),
    ],
)
def test_the_user_s_token_goes_along_to_its_own_origin_alone(url: str, token: str) -> None:
    assert all_repositories({"mine": Repository("mine", url)}, {"mine": MINE})["mine"].token == token


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("https://mine.example.com/i.yaml", "https://me:hush@mine.example.com/i.yaml"),
        ("https://you@mine.example.com/i.yaml", "https://you@mine.example.com/i.yaml"),
        ("https://eve.example.com/i.yaml", "https://eve.example.com/i.yaml"),
        ("https://mine.example.com:8443/i.yaml", "https://mine.example.com:8443/i.yaml"),
    ],
)
def test_a_password_in_the_user_s_url_goes_along_to_its_own_origin_alone(url: str, used: str) -> None:
    mine = Repository("mine", "https://me:hush@mine.example.com/index.yaml")
    assert all_repositories({"mine": Repository("mine", url)}, {"mine": mine})["mine"].url == used


def test_a_token_of_the_configuration_goes_before_the_user_s() -> None:
    own = Repository("mine", MINE.url, "other")
    assert all_repositories({"mine": own}, {"mine": MINE})["mine"].token == "other"


@pytest.mark.parametrize("url", ["example.com/x", "ftp://h/x", "", "/srv/index.yaml"])
def test_a_url_needs_a_scheme_that_can_be_read(url: str) -> None:
    with pytest.raises(PackageInvalid, match="invalid provider repository URL"):
        check_repository_url(url)


def test_a_token_is_not_shown() -> None:
    assert "hush" not in repr(MINE)
