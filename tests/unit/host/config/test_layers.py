from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from gestalt_host.config import ConfigurationUnreadable, find_config, load
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.manifests.reading import read_manifest
from tests.support.rigs.config import MINIMAL, Loader

Faults = Callable[..., list[str]]


def test_mappings_merge_scalars_and_lists_are_replaced(loaded: Loader) -> None:
    config = loaded(
        MINIMAL + "  p: {source: ./m.yaml, config: {a: {b: 1, c: 2}, list: [1, 2]}}",
        "plugins: {p: {config: {a: {c: 3}, list: [9]}}}",
        "plugins: {p: {config: {d: 4}}}",
    )
    assert config.plugins["p"].config == {"a": {"b": 1, "c": 3}, "list": [9], "d": 4}


def test_null_deletes_a_key_of_an_earlier_layer(loaded: Loader) -> None:
    config = loaded(MINIMAL + "  p: {source: ./m.yaml, config: {a: 1, b: 2}}", "plugins: {p: {config: {a: null}}}")
    assert config.plugins["p"].config == {"b": 2}
    assert loaded(MINIMAL + "  p: {source: ./m.yaml}", "plugins: {p: null}").plugins.keys() == {"echo"}


def test_an_overlay_cannot_hide_a_typing_error_below_it(faults: Faults) -> None:
    found = faults("server: {public: {prot: 1}}", "server: {public: {prot: null}}")
    accepted = "allowedHosts, host, maxConnections, port"
    assert found[0] == f"a.yaml:1: server.public.prot: unknown key; did you mean 'port'? accepted are {accepted}"


def test_faults_name_the_layer_that_they_are_in(faults: Faults) -> None:
    found = faults("server: {public: {port: 0}}", "plugins: {p: {sauce: x}}")
    assert [problem.split(": ")[:2] for problem in found] == [
        ["a.yaml:1", "server.public.port"],
        ["b.yaml:1", "plugins.p.sauce"],
        ["b.yaml:1", "plugins.p.source"],
    ]


def test_two_source_modes_from_two_layers_are_refused(faults: Faults) -> None:
    found = faults("plugins: {p: {source: {path: ./m.yaml}}}", "plugins: {p: {source: {builtin: slack}}}")
    assert found == ['b.yaml:1: plugins.p.source: plugins "p" source: builtin, path are mutually exclusive']


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationUnreadable, match=r"reading config file: open .*none.yaml: no such file"):
        load([tmp_path / "none.yaml"], {})
    with pytest.raises(ConfigurationUnreadable, match="is a directory"):
        load([tmp_path], {})
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ConfigurationUnreadable, match="not UTF-8"):
        load([tmp_path / "latin.yaml"], {})


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    pipe, listening = tmp_path / "pipe", tmp_path / "socket"
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(listening))
        for path, reason in (
            (pipe, "is a pipe; a regular file is accepted"),
            (Path("/dev/zero"), "is a device; a regular file is accepted"),
            (tmp_path, "is a directory; a regular file is accepted"),
            (listening, "no such device or address"),
        ):
            with pytest.raises(ConfigurationUnreadable) as failure:
                load([path], {})
            assert str(failure.value) == f"reading config file: open {path}: {reason}"


def test_a_pipe_is_refused_wherever_a_file_is_named(faults: Faults, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    entry = "plugins: {p: {source: ./m.yaml, config: {v: %s}}}"
    (found,) = faults(entry % "${A}", environ={"A_FILE": str(tmp_path / "pipe")})
    assert found.endswith("cannot be read: is a pipe; a regular file is accepted")
    secrets = f"providers: {{secrets: {{f: {{source: file, config: {{dir: '{tmp_path}'}}}}}}}}\n"
    (found,) = faults(secrets + entry % "{secret: {provider: f, name: pipe}}")
    assert found.endswith("pipe: is a pipe; a regular file is accepted")
    with pytest.raises(PackageInvalid, match="is a pipe; a regular file is accepted"):
        read_manifest(tmp_path / "pipe")


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(4 * 1024**2 + 1)
    with pytest.raises(ConfigurationUnreadable, match=r"large\.yaml: has 4194305 bytes; accepted are 4194304"):
        load([path], {})


def test_the_first_way_to_name_a_file_wins(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path / "home"), "GESTALT_CONFIG": "/etc/g.yaml"}
    assert find_config(["x.yaml", "y.yaml"], environ, tmp_path) == [Path("x.yaml"), Path("y.yaml")]
    assert find_config([], environ, tmp_path) == [Path("/etc/g.yaml")]
    environ["GESTALT_CONFIG"] = ""
    user = tmp_path / "home" / ".gestaltd" / "config.yaml"
    assert find_config([], environ, tmp_path) == [user]
    (tmp_path / "config.yaml").touch()
    assert find_config([], environ, tmp_path) == [tmp_path / "config.yaml"]


def test_a_working_directory_that_is_gone_has_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert find_config([], {"HOME": str(tmp_path)}) == [tmp_path / ".gestaltd" / "config.yaml"]
