"""Which hosts run here, and which of them, and of their providers, a name means."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.provider import hosts
from gestalt_host.daemon.provider.hosts import Name, Provider, chosen, running_hosts, with_providers
from gestalt_host.supervisor.about import About, HostAbout, SocketAbout, write_about

Add = Callable[..., HostAbout]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Add:
    """Adds a directory of sockets to those that can be found; its host is this process, on that port."""
    monkeypatch.setattr(hosts, "base_directories", lambda: [tmp_path])

    def add(port: int, kind: str, name: str, *sockets: SocketAbout) -> HostAbout:
        about = HostAbout.of_this_process(f"http://127.0.0.1:{port}", [tmp_path / f"{port}.yaml"])
        directory = tmp_path / f"gstp-{len(list(tmp_path.iterdir()))}"
        directory.mkdir()
        write_about(directory, About(about, kind, name, sockets))
        return about

    return add


def test_without_a_host_it_says_what_starts_one(add: Add) -> None:
    with pytest.raises(CommandFailed, match="no host of this user runs on this machine; `gestaltd serve` starts one"):
        running_hosts()


def test_hosts_are_told_apart_by_all_that_names_them(add: Add, tmp_path: Path) -> None:
    add(81, "host", "host", SocketAbout("/c1"))
    add(82, "host", "host", SocketAbout("/c2"))
    assert [host.about.port for host in running_hosts()] == ["81", "82"]
    for wanted in ("82", ":82", "http://127.0.0.1:82", "http://127.0.0.1:82/", str(tmp_path / "82.yaml")):
        (host,) = running_hosts(wanted)
        assert (host.about.port, host.control) == ("82", Path("/c2"))
    assert len(running_hosts(str(os.getpid()))) == 2
    with pytest.raises(CommandFailed, match=r'no running host is "83"; there are:\n  http://127.0.0.1:81 \(pid'):
        running_hosts("83")


def test_a_provider_has_its_own_sockets_and_what_it_was_given(add: Add) -> None:
    own, given = SocketAbout("/p/plugin.sock"), SocketAbout("/p/host-0.sock", (), "host", "V", ("plugin/a",))
    scope = SocketAbout("/s/scope-0.sock", (), "provider", "DB", ("plugin/a", "host"))
    add(81, "plugin", "a", own, given)
    add(81, "indexeddb", "main", SocketAbout("/s/plugin.sock"), scope)
    add(82, "indexeddb", "main", SocketAbout("/other/scope", (), "provider", "DB", ("plugin/a",)))
    _, provider = chosen(Name.of("a"), running_hosts())
    assert (provider.own, provider.used) == ((own, given), (scope,))
    _, store = chosen(Name.of("indexeddb/main"), running_hosts("81"))
    assert [item.path for item in store.sockets] == ["/s/plugin.sock", "/s/scope-0.sock"]


def test_the_processes_of_a_store_are_one_provider(add: Add) -> None:
    add(81, "indexeddb", "main", SocketAbout("/a", (), "provider", "DB", ("plugin/a",)))
    add(81, "indexeddb", "main", SocketAbout("/b", (), "provider", "DB", ("plugin/b",)))
    _, store = chosen(Name.of("main"), running_hosts())
    assert {item.path for item in store.sockets} == {"/a", "/b"}


def test_a_name_that_means_several_is_refused_with_what_tells_them_apart(add: Add) -> None:
    add(81, "plugin", "a")
    add(81, "workflow", "a")
    add(82, "plugin", "a")
    with pytest.raises(CommandFailed, match='"a" may mean plugin/a or workflow/a: say which'):
        chosen(Name.of("a"), running_hosts())
    with pytest.raises(CommandFailed, match=r"several running hosts have plugin/a; --host says which:\n  http.*:81"):
        chosen(Name.of("plugin/a"), running_hosts())
    host, provider = chosen(Name.of("plugin/a"), running_hosts("82"))
    assert (host.about.port, provider.shown) == ("82", "plugin/a")


def test_a_mistyped_name_is_answered_with_those_that_there_are(add: Add) -> None:
    add(81, "plugin", "roadmap")
    with pytest.raises(CommandFailed, match=r'is "roadmpa", did you mean roadmap\?; there are plugin/roadmap'):
        chosen(Name.of("roadmpa"), running_hosts())


def test_a_provider_without_a_process_can_be_named(add: Add) -> None:
    add(81, "plugin", "a", SocketAbout("/a"))
    (host,) = running_hosts()
    host = with_providers(host, [Provider("plugin", "a", reason="x"), Provider("plugin", "b", reason="it failed")])
    assert [(item.name, item.reason) for item in host.providers] == [("a", ""), ("b", "it failed")]
