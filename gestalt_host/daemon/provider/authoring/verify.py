"""`gestaltd provider verify`: whether a provider does what docs/spec says, tried on its process from outside."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gestalt_host.daemon.console import show
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.options import Options
from gestalt_host.daemon.provider.authoring.provider_config import read_provider_config
from gestalt_host.daemon.until_stopped import run_or_stop
from gestalt_host.errors import HostError
from gestalt_host.packages.scratch import scratch_directory
from gestalt_host.verification.backing import backing_store
from gestalt_host.verification.report import FORMATS, Report
from gestalt_host.verification.run import require_rules, rules_for, verify
from gestalt_host.verification.sources import KIND_WORDS, found_source
from gestalt_host.verification.subject import OWN_DIRECTORY, Candidate
from gestalt_sdk.serving.event_loop import run_event_loop
from gestalt_sdk.serving.logs import configure_logging

HELP = f"""\
Try on a provider what docs/spec says that every provider must do. Each rule gets a process of its own, which is
launched and called as a host does, with services of a host that work, or that are slow, gone or lying. What is verified
and what is not yet is in docs/providers/verify.md.

Usage:
  gestaltd provider verify SOURCE [--kind KIND] [--config FILE|JSON] [--format text|json|junit] [--output FILE]
                           [--rule ID]...
  gestaltd provider verify --list [--kind KIND]

SOURCE is a manifest, a provider-release.yaml, an archive (.tar.gz), a directory with one of the first two, or a
program.

Options:
  --kind KIND            plugin, workflow or indexeddb; needed for a program.
  --config FILE|JSON     The provider's configuration: JSON that begins with {{, or a YAML or JSON file. {OWN_DIRECTORY}
                         in a text of it becomes an empty directory of each process:
                         --config '{{"dsn": "sqlite://{OWN_DIRECTORY}/state.db"}}'
  --format FORMAT        How the report is written: text (default), json, or junit.
  --output FILE          Where it is written, in place of standard output.
  --rule ID              Try this rule alone, or those of a whole section (contract.md 2.4); may be repeated.
  --list                 Print the rules, each with its kinds, and try nothing.
  -h, --help             This text.

Exit status: 0 every rule that was tried is kept, 1 one is not, 2 the provider cannot be launched or the command cannot
be used so.
"""
NOT_DONE = 2


@dataclass(frozen=True, slots=True)
class _Request:
    path: Path
    kind: str
    config: Mapping[str, object]
    rules: tuple[str, ...]


def run(options: Options, environ: Mapping[str, str]) -> None:
    """Verify the provider, and write the report.

    Raises:
        CommandFailed: with exit status 1 when a rule is broken, 2 when the provider cannot be verified.
    """
    try:
        report = _reported(options, environ)
    except CommandFailed as error:
        error.exit_status = NOT_DONE
        raise
    except HostError as error:
        failure = CommandFailed(str(error))
        failure.exit_status = NOT_DONE
        raise failure from error
    if report is not None and report.failures:
        raise CommandFailed(f"{report.failures} of {len(report.findings)} rules are broken")


def _reported(options: Options, environ: Mapping[str, str]) -> Report | None:
    kind, form = options.last("kind"), options.last("format") or "text"
    if kind and kind not in KIND_WORDS:
        raise CommandFailed(f'--kind "{kind}" is not verified; accepted are {", ".join(KIND_WORDS)}')
    if form not in FORMATS:
        raise CommandFailed(f'--format "{form}" is unknown; accepted are {", ".join(FORMATS)}')
    if "list" in options.flags:
        show(_listed(kind))
        return None
    if not options.arguments:
        raise CommandFailed("SOURCE is required: a manifest, a release, an archive, a directory or a program")
    rules = tuple(options.all("rule"))
    require_rules(rules, kind)
    output = options.last("output")
    if output:
        _write(output, "")  # what it cannot be written to shows before anything is tried
    request = _Request(Path(options.arguments[0]), kind, read_provider_config(options.last("config")), rules)
    configure_logging("gestaltd", level=logging.ERROR)  # the report says what there is to be said
    reports: list[Report] = []

    async def work() -> None:
        reports.append(await _verified(request, environ))

    run_event_loop(run_or_stop(work()))
    text = FORMATS[form](reports[0])
    if not output:
        show(text)
        return reports[0]
    try:
        _write(output, f"{text}\n")
    except CommandFailed:
        show(text)  # what took minutes to find out is not lost with a full disk
        raise
    return reports[0]


def _write(output: str, text: str) -> None:
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"--output {output}: {(error.strerror or str(error)).lower()}") from error


async def _verified(request: _Request, environ: Mapping[str, str]) -> Report:
    with scratch_directory("verify") as directory:
        found = await found_source(request.path, request.kind, request.config, directory, environ)
        rules = rules_for(found.kind, request.rules)
        async with backing_store(directory, environ) as store:
            candidate = Candidate(
                *(found.kind, found.command, str(request.path), request.config, store), catalogue=found.catalogue
            )
            return await verify(candidate, rules, environ)


def _listed(kind: str) -> str:
    """Return a line for each rule: first those that several kinds have, then those of each kind alone."""
    kinds = {word: rules_for(found) for word, found in KIND_WORDS.items() if not kind or word == kind}
    rules = {rule.id: rule for rules in kinds.values() for rule in rules}
    width = max(map(len, rules))
    groups: dict[str, list[str]] = {}
    for name, rule in rules.items():
        words = [word for word, found in KIND_WORDS.items() if found in rule.kinds]
        notes = words if 1 < len(words) < len(KIND_WORDS) else []
        if rule.capability:
            notes = [*notes, rule.capability]
        note = f" ({', '.join(notes)})" if notes else ""
        group = words[0] if len(words) == 1 else "every kind"
        groups.setdefault(group, []).append(f"  {name:<{width}}  {rule.title}{note}")
    order = ("every kind", *KIND_WORDS)
    return "\n\n".join("\n".join([f"{group}:", *groups[group]]) for group in order if group in groups)
