"""The configuration of one provider, as `gestaltd provider verify` and `dev` take it: as it is, or from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gestalt_host.config.document import parse_yaml
from gestalt_host.config.errors import Faults
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.packages.releases.documents import read_file

MOST_BYTES = 1024 * 1024
OPTION = "--config"


def is_inline(text: str) -> bool:
    """Tell whether the option's value is the configuration itself, and not the name of a file."""
    return text.lstrip().startswith("{")


def read_provider_config(text: str) -> Mapping[str, object]:
    """Return the configuration; it is not shown in errors, because it may hold secrets.

    Raises:
        HostError: the file cannot be read, or what it holds is no mapping.
    """
    if not text:
        return {}
    where = OPTION if is_inline(text) else text
    content = text if is_inline(text) else read_file(Path(text), MOST_BYTES).decode(errors="replace")
    faults = Faults()
    node = parse_yaml(content, where, faults)  # JSON is YAML
    if node is None:
        problem = faults.problems[0].place
        raise CommandFailed(f"{problem} is no mapping in JSON or YAML, which a configuration has to be")
    found: dict[str, object] = node.plain()
    return found
