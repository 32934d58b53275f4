from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.rigs.config import Loader

Faults = Callable[..., list[str]]
ENTRY = "plugins: {p: {source: ./m.yaml, config: {token: %s}}}"
REFERENCE = "{secret: {provider: default, name: slack-token}}"


def test_references_are_resolved_from_the_environment_by_default(loaded: Loader) -> None:
    config = loaded(ENTRY % REFERENCE, environ={"SLACK_TOKEN": "s3cret"})
    assert config.plugins["p"].config == {"token": "s3cret"}
    assert "s3cret" not in repr(config)


def test_a_layer_may_hold_a_reference_wherever_text_is_accepted(loaded: Loader) -> None:
    layers = (ENTRY % "x", f"server: {{encryptionKey: {REFERENCE}}}\nplugins: {{p: {{env: {{A: {REFERENCE}}}}}}}")
    config = loaded(*layers, environ={"SLACK_TOKEN": "s3cret"})
    assert config.server.encryption_key == config.plugins["p"].env["A"] == "s3cret"


def test_a_secret_that_is_not_there_is_one_fault_in_a_layer_too(faults: Faults) -> None:
    (found,) = faults(ENTRY % "x", f"server: {{encryptionKey: {REFERENCE}}}")
    assert found.startswith('b.yaml:1: server.encryptionKey: resolving secret "slack-token": ')


def test_the_environment_provider_takes_a_prefix(loaded: Loader) -> None:
    text = (
        "providers: {secrets: {e: {source: env, config: {prefix: APP_}}}}\n"
        + ENTRY % "{secret: {provider: e, name: a-b}}"
    )
    assert loaded(text, environ={"APP_A_B": "x"}).plugins["p"].config == {"token": "x"}


def test_the_file_provider_reads_one_file_for_each_secret(loaded: Loader, tmp_path: Path) -> None:
    (tmp_path / "tok").write_text("from file\n\n")
    text = f"providers: {{secrets: {{f: {{source: file, config: {{dir: '{tmp_path}'}}}}}}}}\n"
    config = loaded(text + ENTRY % "{secret: {provider: f, name: tok}}")
    assert config.plugins["p"].config == {"token": "from file"}


@pytest.mark.parametrize(
    ("name", "reason"), [("../x", "the name leads outside the directory"), ("none", "No such file or directory")]
)
def test_the_file_provider_stays_in_its_directory(faults: Faults, tmp_path: Path, name: str, reason: str) -> None:
    text = f"providers: {{secrets: {{f: {{source: file, config: {{dir: '{tmp_path}'}}}}}}}}\n"
    (found,) = faults(text + ENTRY % f"{{secret: {{provider: f, name: {name}}}}}")
    assert f'a.yaml:2: plugins.p.config.token: resolving secret "{name}": provider "f": secret not found: ' in found
    assert found.endswith(reason)


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        (REFERENCE, {}, 'resolving secret "slack-token": provider "default": secret not found: environment variable'),
        (REFERENCE, {"SLACK_TOKEN": ""}, 'resolving secret "slack-token": resolved to empty value'),
        ("{secret: {provider: vault, name: x}}", {}, 'references unknown secrets "vault"; configured are default'),
        ("{secret: {name: x}}", {}, "plugins.p.config.token.secret.provider: is required"),
        ("{secret: {provider: default, name: [x]}}", {}, "plugins.p.config.token.secret.name: must be a string"),
        ("{secret: {provider: default, name: x, key: y}}", {"X": "1"}, "token.secret.key: is not supported"),
        ("{secret: text}", {}, "plugins.p.config.token.secret: must be a mapping with provider and name"),
        ("[a, {secret: 1}]", {}, "plugins.p.config.token[1].secret: must be a mapping with provider and name"),
        ("'__GESTALT_SECRET_REF__:x'", {}, "text that starts with __GESTALT_SECRET_REF__: is reserved"),
    ],
)
def test_faults_name_the_reference(faults: Faults, text: str, environ: dict[str, str], expected: str) -> None:
    found = faults(ENTRY % text, environ=environ)
    assert len(found) == 1
    assert expected in found[0]


def test_a_mapping_with_more_than_the_reference_is_left_alone(loaded: Loader) -> None:
    config = loaded(ENTRY % "{secret: {provider: default, name: x}, other: 1}")
    assert config.plugins["p"].config["token"]["secret"] == {"provider": "default", "name": "x"}


def test_references_work_where_the_host_itself_reads(loaded: Loader) -> None:
    config = loaded("server: {encryptionKey: {secret: {provider: default, name: key}}}", environ={"KEY": "k"})
    assert config.server.encryption_key == "k"


def test_secrets_providers_take_no_references_in_their_config(faults: Faults) -> None:
    text = "providers: {secrets: {e: {config: {prefix: {secret: {provider: e, name: x}}}}}}"
    (found,) = faults(text)
    assert "a secret reference is not allowed in the config of a secrets provider" in found


def test_static_commands_check_references_without_fetching(loaded: Loader, faults: Faults) -> None:
    config = loaded(ENTRY % REFERENCE, static=True)
    assert str(config.plugins["p"].config["token"]).startswith("__GESTALT_SECRET_REF__:")
    (found,) = faults(ENTRY % "{secret: {provider: vault, name: x}}", static=True)
    assert 'unknown secrets "vault"' in found
