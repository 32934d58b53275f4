"""The files of a new provider that no example has: README.md, Makefile with the recipe of a release, .gitignore."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gestalt_host.daemon.provider.authoring.templates import Template

WHEELS = "wheels"
"""Folder of a new provider in Python with the wheel of the SDK."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """How providers in one language are tested and released.

    Attributes:
        name: As its people write it.
        needs: What has to be installed.
        ready: Target of the Makefile that tests and verification depend on; blank: none.
        rules: That target, and variables.
        tests: Lines of the recipe.
        platforms: What a release is made for unless the caller says otherwise; blank: the platform of the machine.
        released: What a release has for each platform.
        ignored: Patterns for git, beside those of all languages.
    """

    name: str
    needs: str
    tests: tuple[str, ...]
    platforms: str
    released: str
    ready: str = ""
    rules: str = ""
    ignored: tuple[str, ...] = ()


_VENV = f"""\
PYTHON ?= python3

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --find-links {WHEELS} --editable '.[test]'
	touch .venv/ready

"""
_PACKAGES = """\
node_modules: package.json
	npm install
	touch node_modules

"""
TOOLCHAINS: Mapping[str, Toolchain] = {
    "python": Toolchain(
        "Python",
        "Python 3.11 or newer",
        (".venv/bin/python -m pytest",),
        "",
        "one executable file with all that it requires, for the version of Python that `.venv` has. It is made with\n"
        "shiv: `pip install shiv` where gestaltd is installed",
        ".venv/ready",
        _VENV,
        (".venv/", "__pycache__/", "*.egg-info/"),
    ),
    "go": Toolchain(
        "Go", "Go 1.22 or newer", ("go vet ./...", "go test ./..."), "all", "an executable that needs no library"
    ),
    "typescript": Toolchain(
        "TypeScript",
        "Node.js 20 or newer with npm",
        ("npm test",),
        "all",
        "one file for `node`",
        "node_modules",
        _PACKAGES,
        ("node_modules/", "build/"),
    ),
    "rust": Toolchain(
        "Rust", "Rust (cargo, as from https://rustup.rs)", ("cargo test",), "", "an executable", ignored=("target/",)
    ),
}
_CONFIGURED = {
    "plugin": "plugins:\n  $NAME: {source: {path: /path/to/$NAME/manifest.yaml}}",
    "workflow": (
        "providers:\n  workflow:\n    $NAME:\n      source: {path: /path/to/$NAME/manifest.yaml}\n"
        "      default: true\n      indexeddb: {provider: main, db: $NAME}"
    ),
    "indexeddb": (
        "providers:\n  indexeddb:\n    $NAME:\n      source: {path: /path/to/$NAME/manifest.yaml}\n"
        '      config: {dsn: "sqlite:///var/lib/gestalt/$NAME.db"}'
    ),
}
_KINDS = {"plugin": "A plugin", "workflow": "A workflow provider", "indexeddb": "A store (IndexedDB provider)"}


def companions(template: Template, name: str, title: str, address: str, example: str) -> dict[str, str]:
    """Return the files by path.

    Args:
        example: README of the example, whose table of files is taken over.
    """
    tools = TOOLCHAINS[template.language]
    return {
        "README.md": _readme(template, tools, name, title, address, _table(example)),
        "Makefile": _makefile(template, tools),
        ".gitignore": "\n".join(("dist/", ".gestalt-dev/", "*.key", *tools.ignored, "")),
    }


def verify_words(template: Template) -> str:
    """Return what follows `gestaltd provider verify` in the folder of the new provider."""
    return f". --config '{template.config}'" if template.config else "."


def dev_command(template: Template) -> str:
    """Return the command that serves the new provider in its folder."""
    return f"gestaltd provider dev --config '{template.config}'" if template.config else "gestaltd provider dev"


def _table(readme: str) -> list[str]:
    """Return the rows of the first table."""
    rows: list[str] = []
    for line in readme.splitlines():
        if line.startswith("|"):
            rows.append(line)
        elif rows:
            break
    return rows


def _makefile(template: Template, tools: Toolchain) -> str:
    tests = "".join(f"\t{line}\n" for line in tools.tests)
    needs = f" {tools.ready}" if tools.ready else ""
    return f"""\
# make test, make verify, make release VERSION=1.0.0 [KEY=FILE] [PLATFORMS=LIST]
.PHONY: test verify release version
.DEFAULT_GOAL := test
GESTALTD ?= gestaltd
PLATFORMS ?= {tools.platforms}
{tools.rules}test:{needs}
{tests}
verify:{needs}
	$(GESTALTD) provider verify {verify_words(template)}

version:
	@test -n '$(VERSION)' || {{ echo 'say which version: make release VERSION=1.0.0' >&2; exit 1; }}

# KEY: a private key of `gestaltd provider keygen`, which the release is signed with.
release: version test verify
	$(GESTALTD) provider release --version '$(VERSION)' \\
		$(if $(PLATFORMS),--platform '$(PLATFORMS)') $(if $(KEY),--sign '$(KEY)')
""".replace("PLATFORMS ?= \n", "PLATFORMS ?=\n")


def _readme(template: Template, tools: Toolchain, name: str, title: str, address: str, table: list[str]) -> str:
    rows = [*table, "| `Makefile` | test, verify and release it, here or where releases are made |"]
    if template.contract:
        rows.append("| `contract/` | generated from the contract of Gestalt; nobody edits it |")
    if template.language == "python":
        rows.append(f"| `{WHEELS}/` | the SDK, for as long as no index that you use has `gestaltd-sdk` |")
    listed = "\n".join(rows)
    configured = "\n".join(f"    {line}" for line in _CONFIGURED[template.kind].replace("$NAME", name).splitlines())
    platforms = "every platform" if tools.platforms else "the platform of the machine"
    return f"""\
# {title}

{_KINDS[template.kind]} for Gestalt, in {tools.name}.
`gestaltd provider new` made it of an example that works; make it yours.

{listed}

## Build and test

    make test

needs {tools.needs}.
`{dev_command(template)}` serves it in a host of its own, and takes up what you change.

## Verify it

    make verify

tries on it what every provider of its kind has to do: `gestaltd provider verify --help`.

## Use it

A configuration names it by its manifest, and the host builds it when it has changed:

{configured}

## Release it

`source` in `manifest.yaml` is the address of the package. Before the first release change it from

    {address}

to one at a domain of your own. Then

    gestaltd provider keygen
    make release VERSION=1.0.0 KEY=gestalt-release.key

tests and verifies it, and writes `dist/` for {platforms}:
{tools.released}.

Keep the key where nobody else reads it, and tell those who use your releases the public key that was printed. Without
`KEY` a release is not signed. Put what is in `dist/` on a web server; a configuration names the `provider-release.yaml`
there as `source`.
"""
