"""`gestaltd provider new`: a provider that works, to begin with."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from gestalt_host.daemon.console import show
from gestalt_host.daemon.errors import CommandFailed, UsageWrong
from gestalt_host.daemon.options import Options
from gestalt_host.daemon.provider.authoring.companions import WHEELS, dev_command, verify_words
from gestalt_host.daemon.provider.authoring.rendering import rendered
from gestalt_host.daemon.provider.authoring.templates import TAKEN_NAMES, Template, find_template, offered

_OFFERED = "\n".join(f"  {kind:<10} {', '.join(languages)}" for kind, languages in offered().items())
HELP = f"""\
Make a new provider in a folder of its own: source that works, its tests, a README, and a Makefile that tests, verifies
and releases it. It needs nothing but what lies in the folder and the package registry of its language.

Usage:
  gestaltd provider new KIND [NAME] --language LANGUAGE [--output DIR]

KIND, and the languages that each is offered in:
{_OFFERED}

NAME is what the provider is called: lower-case letters, digits and hyphens. Without it, that of the folder that
--output names; without either, my-KIND.

Options:
  --language LANGUAGE   Language of the source.
  --output DIR          The folder, by default ./NAME. It must not exist, or be empty.
  -h, --help            This text.
"""
_NAME = re.compile("[a-z][a-z0-9]*(-[a-z0-9]+)*")
MOST_NAME_CHARACTERS = 40
_ACCEPTED_NAME = (
    f"accepted are lower-case letters, digits and single hyphens, a letter first, at most {MOST_NAME_CHARACTERS} "
    "characters"
)


def run(options: Options, environ: Mapping[str, str]) -> None:
    """Write the folder of the new provider, and print what can be done with it.

    Raises:
        CommandFailed: the folder cannot be written; it is as it was.
    """
    template = _template(options.arguments[0] if options.arguments else "", options.last("language"))
    named, output = options.arguments[1] if len(options.arguments) > 1 else "", options.last("output")
    name = named or (Path(output).resolve().name if output else f"my-{template.kind}")
    if not _NAME.fullmatch(name) or len(name) > MOST_NAME_CHARACTERS:
        whose = "NAME" if named else "the name of the folder, which NAME would take the place of,"
        raise CommandFailed(f'{whose} is "{name}"; {_ACCEPTED_NAME}')
    if name in TAKEN_NAMES.get(template.language, ()):
        taken = ", ".join(sorted(TAKEN_NAMES[template.language]))
        raise CommandFailed(f'NAME is "{name}", which {template.language} cannot build; accepted is any but {taken}')
    target = Path(output or name)
    try:
        files = rendered(template, name)
        _place(files, target, template.language == "python")
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        raise CommandFailed(f"cannot make {target}: {what}{(error.strerror or str(error)).lower()}") from error
    show(_said(template, name, target))


def _template(kind: str, language: str) -> Template:
    kinds = offered()
    if kind not in kinds:
        given = f'KIND is "{kind}"' if kind else "KIND is missing"
        raise UsageWrong(f"{given}; accepted are {', '.join(kinds)}: gestaltd provider new KIND --language LANGUAGE")
    template = find_template(kind, language)
    if template is None:
        given = f'--language is "{language}"' if language else "--language is missing"
        accepted = ", ".join(kinds[kind])
        raise UsageWrong(f"{given}; offered for {kind} are {accepted}")
    return template


def _place(files: Mapping[str, str], target: Path, with_sdk: bool) -> None:
    """Write the files beside their place, and move them there when all are written.

    Raises:
        CommandFailed: something is there already.
        OSError: they cannot be written.
    """
    there = target.is_dir()
    if there and any(target.iterdir()):
        raise CommandFailed(f"{target} is not empty; name another folder with --output")
    if not there and os.path.lexists(target):
        raise CommandFailed(f"{target} is there and is no folder; name another one with --output")
    if not there:
        target.parent.mkdir(parents=True, exist_ok=True)
    # A folder that is there stays the same one: somebody may be working in it.
    aside = Path(tempfile.mkdtemp(prefix=".new-", dir=target if there else target.parent))
    try:
        made = aside / "made"
        _write(files, made, with_sdk)
        if not there:
            made.rename(target)
            return
        moved: list[Path] = []
        try:
            for path in sorted(made.iterdir()):
                moved.append(path.rename(target / path.name))
        except OSError:
            for path in moved:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write(files: Mapping[str, str], folder: Path, with_sdk: bool) -> None:
    # Most commands make no wheels.
    from gestalt_host.packages.releasing.own_sdk import SDK, write_sdk_wheel

    folder.mkdir()
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if with_sdk and write_sdk_wheel(folder / WHEELS) is None:
        raise CommandFailed(f"{SDK} is not installed beside gestaltd, and a provider in Python needs its wheel")


def _said(template: Template, name: str, target: Path) -> str:
    steps = (
        f"cd {shlex.quote(str(target))}",
        "make test",
        dev_command(template),
        f"gestaltd provider verify {verify_words(template)}",
        "gestaltd provider release --version 0.1.0",
    )
    lines = "\n".join(f"  {step}" for step in steps if step != "cd .")
    return f"created {template.kind} {name} in {target}; README.md says what is in it. Next:\n\n{lines}\n"
