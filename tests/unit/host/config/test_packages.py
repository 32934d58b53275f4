"""What the configuration says about packages: repositories, keys, signatures, tokens, names of entries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gestalt_host.config.model import Repository, SourceMode
from tests.support.rigs.config import MINIMAL, Loader

Faults = Callable[..., list[str]]
URL = "https://example.com/provider-release.yaml"
KEY = "providerKeys: {acme: gestalt-key}\n"


def test_repositories_have_a_url(loaded: Loader) -> None:
    config = loaded(
        """
        providerRepositories:
          acme: {url: " https://packages.example/index.yaml "}
          here: {url: file:///srv/index.yaml}
        """
    )
    assert config.repositories == {
        "acme": Repository("acme", "https://packages.example/index.yaml"),
        "here": Repository("here", "file:///srv/index.yaml"),
    }
    assert config.unused == ()


@pytest.mark.parametrize("url", ["foo", "ftp://example.com/index.yaml", "https:///index.yaml", "http://[x/"])
def test_a_repository_that_cannot_be_asked_is_named(loaded: Loader, url: str) -> None:
    (notice,) = loaded(f"providerRepositories: {{acme: {{url: '{url}'}}}}").unused
    assert str(notice).endswith(
        f"a.yaml:1: providerRepositories.acme.url: {url!r} cannot be used; accepted are absolute http, https and file "
        "URLs"
    )


def test_a_repository_needs_its_url(faults: Faults) -> None:
    assert faults("providerRepositories: {acme: {}}") == ["a.yaml:1: providerRepositories.acme.url: is required"]


def test_an_entry_may_ask_for_a_signature(loaded: Loader, faults: Faults) -> None:
    text = f"plugins: {{p: {{source: {URL}, verify: required}}, q: {{source: {URL}}}}}"
    config = loaded(KEY + text)
    assert config.provider_keys == {"acme": "gestalt-key"}
    assert [config.plugins[name].verify for name in "pq"] == ["required", ""]
    assert faults(text) == [
        "a.yaml:1: plugins.p.verify: needs the public key of whoever signs the release; name it in providerKeys"
    ]
    assert faults(KEY + text.replace("required", "always")) == [
        "a.yaml:2: plugins.p.verify: 'always' is not supported; accepted are required"
    ]
    assert faults("providerKeys: {acme: ' '}") == ["a.yaml:1: providerKeys.acme: is required: the text of a public key"]


@pytest.mark.parametrize("source", ["./manifest.yaml", "{path: ./manifest.yaml}", "{builtin: slack}"])
def test_what_is_no_release_has_no_signature(faults: Faults, source: str) -> None:
    (fault,) = faults(KEY + f"plugins: {{p: {{source: {source}, verify: required}}}}")
    assert fault.startswith("a.yaml:2: plugins.p.verify: is not allowed with a source by ")
    assert fault.endswith(": only releases are signed")


def test_hosted_runtimes_are_entries(loaded: Loader, faults: Faults) -> None:
    config = loaded(f"runtime: {{providers: {{far: {{source: {URL}, config: {{a: 1}}}}, here: {{driver: local}}}}}}")
    far, here = config.providers["runtime"].values()
    assert (far.path, far.source.mode, far.config) == ("runtime.providers.far", SourceMode.URL, {"a": 1})
    assert (here.source.mode, here.source.builtin) == (SourceMode.BUILTIN, "local")
    assert {problem.path for problem in config.unprovided} == {"runtime.providers.far", "runtime.providers.here"}
    assert faults("runtime: {providers: {a: {driver: far}, b: {driver: local, source: x}, c: {}}}") == [
        "a.yaml:1: runtime.providers.a.driver: 'far' is not supported; accepted are local",
        'a.yaml:1: runtime.providers.a.source: runtime "a" source.path or provider-release metadata URL is required',
        "a.yaml:1: runtime.providers.b.source: is not allowed with driver",
        'a.yaml:1: runtime.providers.c.source: runtime "c" source.path or provider-release metadata URL is required',
    ]


def test_a_version_belongs_to_a_package(loaded: Loader) -> None:
    unused = loaded("plugins: {p: {source: {path: ./m.yaml, version: 1.0.0, repo: acme}}}").unused
    assert [(problem.path, problem.reason) for problem in unused] == [
        ("plugins.p.source.version", "is not used: only a source by package has it"),
        ("plugins.p.source.repo", "is not used: only a source by package has it"),
    ]


# Quoted as YAML text, so that characters that YAML does not take as they are can be written.
BAD_NAMES = [
    "",
    " ",
    "a ",
    ".",
    "..",
    "../x",
    "a/b",
    "a\\\\b",
    "a\\0",
    "a\\n",
    "a\\x7f",
    "a\\x9b",
    "a\\u202e",
    "a\\u200b",
]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("section", ["plugins", "providers.indexeddb", "runtime.providers"])
def test_a_name_that_is_no_plain_directory_name_is_refused(faults: Faults, section: str, name: str) -> None:
    text = f'{{"{name}": {{source: ./m.yaml}}}}'
    for key in reversed(section.split(".")):
        text = f"{{{key}: {text}}}"
    (fault,) = faults(text)
    assert fault.startswith(f"a.yaml:1: {section}")
    assert "cannot be a name; accepted are texts without" in fault


def test_a_name_leaves_room_for_what_is_put_beside_its_directory(loaded: Loader, faults: Faults) -> None:
    loaded(f"plugins: {{{'é' * 100}: {{source: ./m.yaml}}}}")
    (fault,) = faults(f"plugins: {{{'é' * 101}: {{source: ./m.yaml}}}}")
    assert fault.endswith("the name has 202 bytes in UTF-8; accepted are at most 200")


TOKENS = """
server: {encryptionKey: {secret: {provider: default, name: key}}, baseUrl: "http://${HOST}"}
providers:
  indexeddb: {main: {source: ./store/m.yaml, config: {dsn: "${DSN}"}}}
plugins:
  p:
    source: {url: "https://a.example/provider-release.yaml", auth: {token: {secret: {provider: default, name: far}}}}
    config: {source: {auth: {token: {secret: {provider: default, name: config}}}}}
  q: {source: {package: a.example/b/c/d, auth: {token: "${TOKEN}"}}, env: {A: "${NOT_SET}"}}
"""


def test_locking_takes_the_tokens_of_sources_and_nothing_else(loaded: Loader) -> None:
    config = loaded(TOKENS, static=True, tokens=True, environ={"FAR": "one", "TOKEN": "three"})
    assert [config.plugins[name].source.token for name in "pq"] == ["one", "three"]
    assert {problem.path for problem in config.unset} == {
        "server.baseUrl",
        "providers.indexeddb.main.config.dsn",
        "plugins.q.env.A",
    }


def test_a_source_that_a_variable_leaves_open_is_a_fault(faults: Faults) -> None:
    assert faults('plugins: {p: {source: "${WHERE}"}}', static=True, tokens=True) == [
        "a.yaml:1: plugins.p.source: is required"
    ]


def test_every_token_that_is_not_there_is_named_at_once(faults: Faults) -> None:
    assert [line.split(": ")[:2] for line in faults(TOKENS, static=True, tokens=True)] == [
        ["a.yaml:6", "plugins.p.source.auth.token"],
        ["a.yaml:8", "plugins.q.source.auth.token"],
    ]


@pytest.mark.parametrize("tokens", [None, False])
def test_what_downloads_nothing_needs_no_token(loaded: Loader, tokens: bool | None) -> None:
    config = loaded(TOKENS, static=True, tokens=tokens, environ={"HOST": "h"})
    assert config.plugins["q"].source.token == ""
    assert "plugins.q.source.auth.token" in {problem.path for problem in config.unset}


def test_a_token_that_is_blank_is_a_fault(faults: Faults) -> None:
    text = f'plugins: {{p: {{source: {{url: "{URL}", auth: {{token: ""}}}}}}}}'
    assert faults(text, static=True) == ["a.yaml:1: plugins.p.source.auth.token: is required"]


def test_a_token_cannot_come_from_a_provider_that_is_itself_a_package(faults: Faults) -> None:
    vault = f"providers: {{secrets: {{default: {{source: {URL}}}}}}}\n"
    text = f'plugins: {{p: {{source: {{url: "{URL}", auth: {{token: {{secret: {{provider: default, name: a}}}}}}}}}}}}'
    fault, *_ = faults(vault + text, static=True, tokens=True)
    assert fault.startswith("a.yaml:2: plugins.p.source.auth.token: secret.provider 'default' is a package")


def test_every_missing_variable_is_named_with_its_file(faults: Faults) -> None:
    layers = ('server: {encryptionKey: "${KEY}"}\nplugins: {p: {source: ./m.yaml, env: {A: "${ONE}${TWO}"}}}',)
    *missing, unknown = faults(*layers, 'plugins: {p: {env: {B: "${ONE}"}}}', "plugins: {q: {source: 1, bogus: 2}}")
    assert unknown.startswith("c.yaml:1: plugins.q.bogus: unknown key; ")
    assert missing == [
        'a.yaml:1: server.encryptionKey: environment variable "KEY" not set; use ${KEY:-} to allow an empty default',
        'a.yaml:2: plugins.p.env.A: environment variable "ONE" not set; use ${ONE:-} to allow an empty default',
        'a.yaml:2: plugins.p.env.A: environment variable "TWO" not set; use ${TWO:-} to allow an empty default',
        'b.yaml:1: plugins.p.env.B: environment variable "ONE" not set; use ${ONE:-} to allow an empty default',
    ]


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n"])
def test_a_file_without_anything_is_an_empty_configuration(loaded: Loader, text: str) -> None:
    assert loaded(text).plugins == {}
    assert set(loaded(MINIMAL, text).plugins) == {"echo"}


def test_what_follows_the_first_document_is_named_as_not_read(loaded: Loader, faults: Faults, tmp_path: Path) -> None:
    config = loaded("plugins: {p: {source: ./m.yaml}}\n---\nbogus: 1\n")
    assert set(config.plugins) == {"p"}
    assert [str(problem) for problem in config.unused] == [
        f"{tmp_path}/a.yaml:2: a second document begins here, and is not read"
    ]
    (fault,) = faults("plugins: {}\n]")
    assert fault.startswith("a.yaml:2: parsing config YAML: ")


def test_a_base_url_is_kept_as_it_is_written(loaded: Loader, faults: Faults) -> None:
    assert loaded('server: {baseUrl: "http://h/a b"}').server.public.base_url == "http://h/a b"
    for text in ("http://a b/", "http://h/\\tx", "ftp://h", "http:///x"):
        assert faults(f'server: {{baseUrl: "{text}"}}') == [
            "a.yaml:1: server.baseUrl: must be an absolute http or https URL"
        ]
