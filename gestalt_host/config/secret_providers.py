"""The secrets providers that are built in: environment variables and files (config.md 3.4)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gestalt_host.config.errors import ConfigurationUnreadable, Faults, Problem
from gestalt_host.config.files import read_text
from gestalt_host.config.model import ProviderEntry, SourceMode
from gestalt_host.config.secret_references import SecretReference
from gestalt_host.config.selection import unknown_entry


class SecretResolver:
    """Looks secrets up; every failure is noted and gives an empty text, or None where the marker may stay."""

    def __init__(self, entries: Mapping[str, ProviderEntry], environ: Mapping[str, str], faults: Faults) -> None:
        self._entries = entries
        self._environ = environ
        self._faults = faults
        self.unprovided: list[Problem] = []

    def check(self, reference: SecretReference) -> str | None:
        """Check that the provider exists, for reading without run-time state; the secret is not fetched."""
        if reference.provider not in self._entries:
            reason = f"secret.provider {unknown_entry('secrets', reference.provider, self._entries)}"
            self._faults.add(reference.place, reference.path, reason)
            return ""
        return None

    def resolve_alone(self, reference: SecretReference) -> str | None:
        """Return the secret's value, for reading where the provider's own entry is not reported."""
        entry = self._entries.get(reference.provider)
        if entry is not None and entry.source.builtin not in ("env", "file"):
            accepted = "accepted here are those with the source env or file"
            self._fault(reference, f"secret.provider {reference.provider!r} is a package, which is not run; {accepted}")
            return ""
        return self.resolve(reference)

    def resolve(self, reference: SecretReference) -> str | None:
        """Return the secret's value."""
        if self.check(reference) is not None:
            return ""
        entry = self._entries[reference.provider]
        if entry.source.mode is SourceMode.BUILTIN and entry.source.builtin == "env":
            value, missing = self._from_environment(entry, reference.name)
        elif entry.source.mode is SourceMode.BUILTIN and entry.source.builtin == "file":
            value, missing = self._from_file(entry, reference.name)
        else:
            return ""  # The entry itself is reported as unprovided.
        prefix = f'resolving secret "{reference.name}"'
        if missing:
            self._fault(reference, f'{prefix}: provider "{reference.provider}": secret not found: {missing}')
        elif not value:
            self._fault(reference, f"{prefix}: resolved to empty value")
        return value

    def _fault(self, reference: SecretReference, reason: str) -> None:
        self._faults.add(reference.place, reference.path, reason)

    def _from_environment(self, entry: ProviderEntry, name: str) -> tuple[str, str]:
        variable = str(entry.config.get("prefix") or "") + name.upper().replace("-", "_")
        if variable not in self._environ:
            return "", f'environment variable "{variable}" not set'
        return self._environ[variable], ""

    def _from_file(self, entry: ProviderEntry, name: str) -> tuple[str, str]:
        directory = str(entry.config.get("dir") or "")
        if not directory:
            return "", f"{entry.path}.config.dir is required"
        root = Path(directory).resolve()
        path = (root / name).resolve()
        if root not in path.parents:
            return "", "the name leads outside the directory"
        try:
            return read_text(path).rstrip("\r\n"), ""
        except ConfigurationUnreadable as error:
            return "", f"{path}: {error}"
