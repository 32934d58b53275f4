"""Whether a plugin writes its catalogue, as the rules say it to its author."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from gestalt_host.packages import PluginCatalogue
from gestalt_host.verification.outcomes import NotOffered
from gestalt_host.verification.subject import Subject
from gestalt_host.verification.suites.plugin.calls import written_catalogue


class _Silent:
    """Ends at once with status 0, and writes nothing."""

    def __init__(self, directory: Path, packaged: PluginCatalogue | None) -> None:
        self.directory = directory
        self.candidate = SimpleNamespace(catalogue=packaged)

    async def environment(self) -> dict[str, str]:
        return {"GESTALT_PLUGIN_SOCKET": "unused"}

    async def spawn(self, environment: dict[str, str]) -> None:
        pass

    async def ended_within(self, seconds: float) -> int:
        return 0


@pytest.mark.parametrize("packaged", [True, False])
async def test_a_plugin_that_writes_no_catalogue_lacks_the_file_only_where_there_is_none(
    tmp_path: Path, packaged: bool
) -> None:
    catalogue = PluginCatalogue(name="ideas", operations={}) if packaged else None
    with pytest.raises(NotOffered) as raised:
        await written_catalogue(cast(Subject, _Silent(tmp_path, catalogue)))
    assert ("there is no catalog.yaml" in str(raised.value)) is not packaged
    assert "GESTALT_PLUGIN_WRITE_CATALOG" in str(raised.value)
